// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

// docs/reports.md names each field of each report, and no other.
func TestReportsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/reports.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.Split(string(page), "\n## ")
	for i, of := range [][]reflect.Type{
		{reflect.TypeFor[report[int]]()},
		{reflect.TypeFor[plan.Status](), reflect.TypeFor[plan.Older]()},
		{reflect.TypeFor[diffItem]()},
		{reflect.TypeFor[verifyItem](), reflect.TypeFor[plan.Finding]()},
	} {
		fields := map[string]bool{}
		for _, typ := range of {
			for j := range typ.NumField() {
				if name, _, _ := strings.Cut(typ.Field(j).Tag.Get("json"), ","); name != "" {
					fields[name] = true
				}
			}
		}
		documented := map[string]bool{}
		for line := range strings.Lines(sections[i]) {
			cells := strings.Split(line, "|")
			if len(cells) < 3 {
				continue
			}
			for k, word := range strings.Split(cells[1], "`") {
				if k%2 == 1 {
					documented[word] = true
				}
			}
		}
		if !reflect.DeepEqual(fields, documented) {
			t.Errorf("section %d: fields %v, documented %v", i, action.SortedKeys(fields), action.SortedKeys(documented))
		}
	}
}
