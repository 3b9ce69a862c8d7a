// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
)

// printed gives what -o writes for n Secrets, named secret-0, secret-1 and so on.
func printed(t *testing.T, format string, n int) (out string, names []string) {
	t.Helper()
	p := newPrintOptions()
	*p.flags.OutputFormat = format
	var objects []runtime.Object
	for i := range n {
		names = append(names, fmt.Sprintf("secret-%d", i))
		objects = append(objects, manifest.Secret(ledger.Row{Secret: names[i], Namespace: "ns", Generation: 1, EnvKey: "SECRET", Token: testToken}))
	}
	var b bytes.Buffer
	if err := p.objects(&b, objects); err != nil {
		t.Fatal(err)
	}
	return b.String(), names
}

func TestJSONIsOneList(t *testing.T) {
	for n := range 3 {
		out, names := printed(t, "json", n)
		var list struct {
			APIVersion, Kind string
			Items            []corev1.Secret
		}
		decoder := json.NewDecoder(strings.NewReader(out))
		if err := decoder.Decode(&list); err != nil || decoder.More() {
			t.Fatalf("%d objects: not one document: %v\n%s", n, err, out)
		}
		if list.APIVersion != "v1" || list.Kind != "List" || list.Items == nil {
			t.Errorf("%d objects: %s", n, out)
		}
		wantSecrets(t, "json", list.Items, names)
	}
}

func TestYAMLIsADocumentEach(t *testing.T) {
	for n := range 3 {
		out, names := printed(t, "yaml", n)
		var secrets []corev1.Secret
		for _, document := range strings.Split(out, "---\n") {
			var s corev1.Secret
			if err := yaml.UnmarshalStrict([]byte(document), &s); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if n > 0 {
				secrets = append(secrets, s)
			}
		}
		wantSecrets(t, "yaml", secrets, names)
		if n == 0 && out != "" {
			t.Errorf("no object: %q", out)
		}
	}
}

func wantSecrets(t *testing.T, format string, got []corev1.Secret, names []string) {
	t.Helper()
	var have []string
	for _, s := range got {
		have = append(have, s.Name)
		if s.Kind != "Secret" || s.APIVersion != "v1" || string(s.Data["SECRET"]) != testToken || s.Immutable == nil || !*s.Immutable {
			t.Errorf("%s: %+v", format, s)
		}
	}
	if !slices.Equal(have, names) {
		t.Errorf("%s: %v, want %v", format, have, names)
	}
}

func TestOtherFormatsAreALineOrTemplateEach(t *testing.T) {
	for format, want := range map[string]string{
		"name":                              "secret/secret-0\nsecret/secret-1\n",
		"jsonpath={.metadata.name},":        "secret-0,secret-1,",
		"go-template={{.metadata.name}} is": "secret-0 issecret-1 is",
	} {
		if got, _ := printed(t, format, 2); got != want {
			t.Errorf("%s: %q, want %q", format, got, want)
		}
		if got, _ := printed(t, format, 0); got != "" {
			t.Errorf("%s of nothing: %q", format, got)
		}
	}
}

func TestOutputFormatIsValidated(t *testing.T) {
	for format, want := range map[string]string{
		"": "", "json": "", "yaml": "", "name": "", "jsonpath={.kind}": "",
		"xml": "-o: no such output format", "wide": "-o: no such output format",
	} {
		p := newPrintOptions()
		*p.flags.OutputFormat = format
		hint := ""
		if want != "" {
			hint = "-o name, yaml, json, "
		}
		wantError(t, p.validate(), want, hint)
		if p.wanted() != (format != "") {
			t.Errorf("%q: wanted %v", format, p.wanted())
		}
	}
}

func TestDryRunFlag(t *testing.T) {
	for text, suffix := range map[string]string{"none": "", "client": " (dry run)", "server": " (server dry run)"} {
		var d dryRun
		if err := d.Set(text); err != nil || d.String() != text || d.suffix() != suffix {
			t.Errorf("%s: %v, %q, %q", text, err, d.String(), d.suffix())
		}
	}
	for _, text := range []string{"", "true", "Client", canary} {
		d := dryRunServer
		if err := d.Set(text); err == nil || strings.Contains(err.Error(), "canary") || d != dryRunServer {
			t.Errorf("%q: %v, %q", text, err, d)
		}
	}
}
