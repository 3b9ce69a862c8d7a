// SPDX-License-Identifier: Apache-2.0

package finding_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/finding"
)

const page = "../../docs/findings.md"

// docs/findings.md is the table. UPDATE_DOCS=1 writes it.
func TestPageIsTheTable(t *testing.T) {
	if os.Getenv("UPDATE_DOCS") == "1" {
		if err := os.WriteFile(page, []byte(finding.Markdown()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil || string(got) != finding.Markdown() {
		t.Errorf("docs/findings.md is not the table (%v): UPDATE_DOCS=1 go test ./internal/finding", err)
	}
}

func TestTable(t *testing.T) {
	code := regexp.MustCompile(`^FERNET\d{3}$`)
	last := finding.Code("")
	for _, k := range finding.Table {
		if !code.MatchString(string(k.Code)) || k.Code <= last {
			t.Errorf("%s after %s", k.Code, last)
		}
		last = k.Code
		if k.Sentence == "" || k.WayOut == "" || k.Level != finding.Error && k.Level != finding.Warning {
			t.Errorf("%s says too little", k.Code)
		}
		if finding.Of(k.Code) != k {
			t.Errorf("Of(%s) is another kind", k.Code)
		}
	}
}
