// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"errors"
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
)

// reportVersion is the version of the reports' JSON forms.
const reportVersion = "kubectl-fernet.github.io/v1"

// report is the JSON form of what status, diff and verify say.
type report[T any] struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Cluster    string `json:"cluster"` // as the ledger calls it
	Items      []T    `json:"items"`
	// Unseen is what could not be looked at: the items are not the whole.
	Unseen []action.Unseen `json:"unseen,omitempty"`
}

// printReport writes a report as json or yaml; done is false with another format.
func printReport[T any](a *app, s *action.Session, format, kind string, items []T) (done bool, err error) {
	r := report[T]{reportVersion, kind, s.Target.Cluster, append([]T{}, items...), s.Unseen}
	var text []byte
	switch format {
	case "json":
		text, err = json.MarshalIndent(r, "", "    ")
		text = append(text, '\n')
	case "yaml":
		text, err = yaml.Marshal(r)
	default:
		return false, nil
	}
	if err == nil {
		_, err = a.product.Write(text)
	}
	return true, err
}

// checkFormat refuses an -o that a report does not have.
func checkFormat(format string, known ...string) error {
	if format == "" || slices.Contains(known, format) {
		return nil
	}
	return withHint(errors.New("-o: no such output format"), "one of: %s", hint.List(known))
}
