// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

// reportVersion is the version of the reports' JSON forms.
const reportVersion = "kubectl-fernet.github.io/v1"

// report is the JSON form of what a verb says.
type report[T any] struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Cluster    string `json:"cluster"`          // as the ledger calls it
	DryRun     string `json:"dryRun,omitempty"` // client or server
	Items      []T    `json:"items"`
	// Unseen is what could not be looked at: the items are not the whole.
	Unseen []action.Unseen `json:"unseen,omitempty"`
}

// printReport writes a report as json or yaml; done is false with another format.
func printReport[T any](a *app, s *action.Session, format, kind string, items []T) (done bool, err error) {
	dry := map[action.Mode]dryRun{action.Client: dryRunClient, action.Server: dryRunServer}[s.Mode]
	r := report[T]{reportVersion, kind, s.Target.Cluster, string(dry), append([]T{}, items...), s.Unseen}
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

// resultFormats are those of the verbs that write.
var resultFormats = []string{"json", "yaml", "name"}

// outputFlag adds -o with these formats.
func (o *workOptions) outputFlag(cmd *cobra.Command, formats ...string) {
	last := len(formats) - 1
	cmd.Flags().StringVarP(&o.output, "output", "o", "", strings.Join(formats[:last], ", ")+" or "+formats[last])
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
}

// did reports one result of a verb: a line on stdout, or with -o an item of its report.
func (a *app) did(o *workOptions, item action.Item, text string) {
	a.report(item)
	if o.output == "" {
		object, words, _ := strings.Cut(text, " ")
		fmt.Fprintf(a.product, "%s %s\n", redact.Visible(object), a.paint(item.State, words+o.dryRun.suffix()))
	}
}

// report keeps items for the report that -o asks for.
func (a *app) report(items ...action.Item) {
	for _, item := range items {
		item.Reason = hint.OneLine(item.Reason)
		a.items = append(a.items, item)
	}
}

// ended gives the error of a verb, after it has printed the report that -o asks for. A verb
// that failed before it did anything has none.
func (a *app) ended(s *action.Session, o *workOptions, kind string, err error) error {
	finished := err == nil || errors.Is(err, errFindings) || errors.Is(err, errEntries) || errors.Is(err, errInterrupted)
	if o.output == "" || !finished && len(a.items) == 0 {
		return err
	}
	if o.output == "name" {
		a.changed()
		return err
	}
	_, printErr := printReport(a, s, o.output, kind, a.items)
	return cmp.Or(printErr, err)
}

// changed prints the names of what a verb changed.
func (a *app) changed() {
	for _, item := range a.items {
		if item.Changed && item.Object != "" {
			fmt.Fprintln(a.Out, item.Object)
		}
	}
}

// checkFormat refuses an -o that a report does not have.
func checkFormat(format string, known ...string) error {
	if format == "" || slices.Contains(known, format) {
		return nil
	}
	return withHint(errors.New("-o: no such output format"), "one of: %s", hint.List(known))
}
