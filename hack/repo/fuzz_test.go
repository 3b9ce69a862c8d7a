// SPDX-License-Identifier: Apache-2.0

package repo

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// fuzzed has, of each package that reads text from outside, what that is and the targets that
// fuzz it. Those of tests alone have none.
var fuzzed = map[string]struct{ reads, targets string }{
	"decrypt":                 {"tokens, keys, variables, files", "FuzzOpen FuzzEntries FuzzNearly FuzzSigned FuzzParseKeys"},
	"decrypt/cmd/fernet-exec": {"its arguments, tables of names", "FuzzOptions FuzzRename"},
	"internal/action":         {"settings of a .env, names of workloads; and whole walks of people", "FuzzSettings FuzzParseWorkload FuzzSameBaseName FuzzWalk"},
	"internal/cli":            {"flags", "FuzzAge FuzzRefuseSecrets FuzzIgnore FuzzSelector"},
	"internal/cluster":        {"what a server answers", "FuzzAnswer"},
	"internal/envfile":        {".env files", "FuzzParse FuzzQuoteRoundTrip FuzzFormat"},
	"internal/gitstate":       {"the .git file of a work tree", "FuzzGitFile"},
	"internal/hint":           {"words, for a shell", "FuzzWord"},
	"internal/keyring":        {"keys in a .env, a key file, the environment", "FuzzFind"},
	"internal/keysecret":      {"Secrets that hold keys", "FuzzRead"},
	"internal/ledger":         {"ledgers", "FuzzRoundTrip FuzzParse FuzzDamage FuzzNames FuzzConflict FuzzFold FuzzFoldOfBundles"},
	"internal/manifest":       {"Secrets", "FuzzFromSecret"},
	"internal/names":          {"names of entries and of Secrets", "FuzzBase FuzzSplit FuzzAsKubernetes"},
	"internal/redact":         {"what others say", "FuzzClean FuzzVisible"},
	"internal/seal":           {"tokens and bindings", "FuzzJudge"},
	"internal/token":          {"tokens, texts of bundles", "FuzzAgree FuzzSplit"},
	"internal/usage":          {"any object of the API, releases of Helm", "FuzzFind FuzzRelease"},
	"internal/workload":       {"manifests, annotations, fields of field managers", "FuzzManifest FuzzBehind"},

	"internal/faultproxy": {"requests, in tests alone", ""},
	"internal/testkube":   {"the environment of tests", ""},
}

// reader is a call that reads a text, by a library or by hand.
var reader = regexp.MustCompile(`\b(Unmarshal\w*|DecodeString|Decode|Atoi|Parse[A-Z]\w*|NewDecoder|FindStringSubmatch|FindAllString\w*|FieldsFunc\w*)\(`)

// Each package that reads text is in the list, each target of the list is there and has a seed,
// and each target that is there is in the list.
func TestEveryParserIsFuzzed(t *testing.T) {
	var readers []string
	found, seeded := map[string][]string{}, map[string]bool{}
	for _, top := range []string{"internal", "cmd", "decrypt"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") {
				return err
			}
			text, err := os.ReadFile(path)
			dir, _ := filepath.Rel(root, filepath.Dir(path))
			dir = filepath.ToSlash(dir)
			switch {
			case strings.HasSuffix(path, "_test.go"):
				for name, body := range fuzzTargets(string(text)) {
					corpus, _ := os.ReadDir(filepath.Join(filepath.Dir(path), "testdata", "fuzz", name))
					found[dir] = append(found[dir], name)
					seeded[dir+" "+name] = strings.Contains(body, "f.Add(") || len(corpus) > 0
				}
			case reader.Match(text) && !slices.Contains(readers, dir):
				readers = append(readers, dir)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range readers {
		if fuzzed[dir].reads == "" {
			t.Errorf("%s reads text: add a fuzz target, and the package to the list", dir)
		}
	}
	count := 0
	for dir, list := range found {
		if listed := strings.Fields(fuzzed[dir].targets); !sameNames(listed, list) {
			t.Errorf("%s has the targets %q, and the list has %q", dir, list, listed)
		}
		count += len(list)
	}
	for dir, list := range fuzzed {
		if !slices.Contains(readers, dir) && found[dir] == nil || list.targets == "" && !strings.Contains(list.reads, "test") {
			t.Errorf("%s reads nothing, or nothing fuzzes what it reads: %s", dir, list.reads)
		}
		for _, name := range strings.Fields(list.targets) {
			if !seeded[dir+" "+name] {
				t.Errorf("%s: %s is not there, or has no seed", dir, name)
			}
		}
	}
	testkube.Cases(t, count)
}

var fuzzTarget = regexp.MustCompile(`(?ms)^func (Fuzz\w+)\(f \*testing\.F\) \{$.*?^\}$`)

// fuzzTargets gives the fuzz targets of a file, by name.
func fuzzTargets(text string) map[string]string {
	targets := map[string]string{}
	for _, match := range fuzzTarget.FindAllStringSubmatch(text, -1) {
		targets[match[1]] = match[0]
	}
	return targets
}

func sameNames(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
