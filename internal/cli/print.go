// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
)

// dryRun is kubectl's --dry-run.
type dryRun string

const (
	dryRunNone   dryRun = ""
	dryRunClient dryRun = "client"
	dryRunServer dryRun = "server"
)

func (d *dryRun) String() string {
	if *d == dryRunNone {
		return "none"
	}
	return string(*d)
}

func (d *dryRun) Set(text string) error {
	switch text {
	case "none":
		*d = dryRunNone
	case string(dryRunClient), string(dryRunServer):
		*d = dryRun(text)
	default:
		return errors.New("none, client or server")
	}
	return nil
}

func (d *dryRun) Type() string { return "none|client|server" }

func (d dryRun) suffix() string {
	switch d {
	case dryRunClient:
		return " (dry run)"
	case dryRunServer:
		return " (server dry run)"
	default:
		return ""
	}
}

// printOptions is kubectl's -o for objects.
type printOptions struct {
	flags *genericclioptions.PrintFlags
}

func newPrintOptions() *printOptions {
	return &printOptions{flags: genericclioptions.NewPrintFlags("").WithTypeSetter(scheme())}
}

// scheme knows the two kinds that are printed.
func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	s.AddKnownTypes(schema.GroupVersion{Version: "v1"}, &corev1.Secret{}, &metav1.List{})
	return s
}

func (p *printOptions) addFlags(cmd *cobra.Command) {
	p.flags.AddFlags(cmd)
	cmd.Flags().Lookup("output").Usage = "name, yaml, json, jsonpath=… or go-template=…"
	markDetail(cmd.Flags(), "allow-missing-template-keys", "show-managed-fields", "template")
}

// complete takes --template without -o for go-template, as kubectl does.
func (p *printOptions) complete() {
	*p.flags.OutputFormat = strings.ToLower(*p.flags.OutputFormat)
	if template := p.flags.TemplatePrinterFlags.TemplateArgument; !p.wanted() && template != nil && *template != "" {
		*p.flags.OutputFormat = "go-template"
	}
}

func (p *printOptions) wanted() bool { return *p.flags.OutputFormat != "" }

func (p *printOptions) validate() error {
	p.complete()
	if !p.wanted() {
		return nil
	}
	_, err := p.flags.ToPrinter()
	if genericclioptions.IsNoCompatiblePrinterError(err) {
		return withHint(errors.New("-o: no such output format"), "-o name, yaml, json, jsonpath=… or go-template=…")
	}
	return err
}

// objects prints one v1 List with -o json, and one object after the other with
// every other format.
func (p *printOptions) objects(w io.Writer, objects []runtime.Object) error {
	printer, err := p.flags.ToPrinter()
	if err != nil {
		return err
	}
	if *p.flags.OutputFormat == "json" {
		list := &metav1.List{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "List"}, Items: []runtime.RawExtension{}}
		for _, o := range objects {
			raw, err := json.Marshal(o)
			if err != nil {
				return fmt.Errorf("cannot print: %w", err)
			}
			list.Items = append(list.Items, runtime.RawExtension{Raw: raw})
		}
		return printer.PrintObj(list, w)
	}
	return printAll(printer, objects, w)
}

func printAll(printer printers.ResourcePrinter, objects []runtime.Object, w io.Writer) error {
	for _, o := range objects {
		if printer.PrintObj(o, w) != nil { // the cause quotes the whole object
			return errors.New("-o: the objects could not be printed in this format; they are as the lines above say")
		}
	}
	return nil
}
