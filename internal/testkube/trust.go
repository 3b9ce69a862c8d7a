// SPDX-License-Identifier: Apache-2.0

package testkube

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/lockedfile"
)

const trustPage = "docs/trust.md"

// InPart says that only some parts of a test were run, or that one of them failed: then it
// cannot count.
func InPart(t testing.TB) bool {
	return t.Failed() || strings.Contains(flag.Lookup("test.run").Value.String(), "/")
}

// Cases holds docs/trust.md to the number of cases that a test has: the last cell of the row
// that names the test is that number. UPDATE_TRUST=1 writes it. A test that plays at random
// is held to it only with its usual number of seeds.
func Cases(t testing.TB, n int) {
	t.Helper()
	if os.Getenv("FERNET_TEST_SEED")+os.Getenv("FERNET_TEST_SEEDS") != "" {
		return
	}
	row := regexp.MustCompile("(?m)^(\\|.*`" + regexp.QuoteMeta(t.Name()) + "`.*\\| )[0-9,]*( \\|)$")
	holdPage(t, trustPage, "the row of "+t.Name(), row, thousands(n))
}

// Table holds a page of docs/ to a text that a test makes: what stands between the lines
// "<!-- NAME -->" and "<!-- /NAME -->". UPDATE_TRUST=1 writes it.
func Table(t testing.TB, page, name, text string) {
	t.Helper()
	part := regexp.MustCompile("(?s)(<!-- " + regexp.QuoteMeta(name) + " -->\n).*?(<!-- /" + regexp.QuoteMeta(name) + " -->\n)")
	holdPage(t, filepath.Join("docs", page), "the part "+name, part, text)
}

// holdPage compares what stands between the two groups of a pattern, which is to be there once.
func holdPage(t testing.TB, page, what string, pattern *regexp.Regexp, text string) {
	t.Helper()
	if InPart(t) {
		return
	}
	file := filepath.Join(Root(t), page)
	hold := func(old []byte) ([]byte, error) {
		found := pattern.FindAllSubmatchIndex(old, -1)
		if len(found) != 1 {
			return nil, fmt.Errorf("%s has %s %d times, not once", page, what, len(found))
		}
		from, to := found[0][3], found[0][4]
		return []byte(string(old[:from]) + text + string(old[to:])), nil
	}
	if os.Getenv("UPDATE_TRUST") != "" {
		if err := lockedfile.Transform(file, hold); err != nil {
			t.Error(err)
		}
		return
	}
	is, err := lockedfile.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	switch want, err := hold(is); {
	case err != nil:
		t.Error(err)
	case string(want) != string(is):
		t.Errorf("%s: %s is not up to date; UPDATE_TRUST=1 makes it: %s", page, what, text)
	}
}

// thousands writes a number with commas.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
