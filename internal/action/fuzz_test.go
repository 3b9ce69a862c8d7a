// SPDX-License-Identifier: Apache-2.0

package action

import (
	"reflect"
	"strings"
	"testing"

	"github.com/joho/godotenv"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// FuzzSettings takes any values of the settings. What is read is written as the same settings;
// the API server takes the names; an error shows no value.
func FuzzSettings(f *testing.F) {
	f.Add("a, b", "SECRET*,*_TOKEN", "web", "fernet-key")
	f.Add("a,a", "[", "web-g2", "Fernet")
	f.Add("kube_system,", "", " shop ", "shop")
	f.Add("-", "SECRET-[A-Z]?,[^a]*", strings.Repeat("a", 242), "a..b")
	f.Add(" ", "a b", "\t", "x.y-z0")
	f.Fuzz(func(t *testing.T, namespaces, match, bundle, keySecret string) {
		var entries []envfile.Entry
		for name, value := range map[string]string{VarNamespace: namespaces, VarMatch: match, VarBundle: bundle, VarKeySecret: keySecret} {
			entries = append(entries, envfile.Entry{Name: name, Value: envfile.NewValue(value)})
		}
		s, err := readSettings(&envfile.File{Path: ".env", Entries: entries})
		if err != nil {
			if strings.Contains(err.Error(), VarNamespace+": ") && validNamespaces(namespaces) {
				t.Errorf("%q: %v", namespaces, err)
			}
			for _, value := range []string{namespaces, match, bundle, keySecret} {
				if len(value) > 30 && strings.Contains(err.Error(), value) {
					t.Errorf("%q shows a value", err)
				}
			}
			return
		}
		for _, name := range s.Namespaces {
			if bad := validation.IsDNS1123Label(name); bad != nil {
				t.Errorf("namespace %q: %q", name, bad)
			}
		}
		for _, name := range []string{s.Bundle, s.KeySecret} {
			if name != "" && validation.IsDNS1123Subdomain(name+"-g999999999") != nil {
				t.Errorf("base name %q", name)
			}
		}
		again, err := readSettings(&envfile.File{Path: ".env", Entries: s.entries()})
		if again.places = s.places; err != nil || !reflect.DeepEqual(again, s) {
			t.Errorf("%+v is written and read as %+v, %v", s, again, err)
		}
		text, err := envfile.Format(s.entries())
		theirs, readErr := godotenv.Unmarshal(string(text))
		if err != nil || readErr != nil || theirs[VarNamespace] != strings.Join(s.Namespaces, ",") || theirs[VarBundle] != s.Bundle {
			t.Errorf("%s: %v, %v; godotenv reads %v", text, err, readErr, theirs)
		}
	})
}

// validNamespaces says whether the API server takes all names of a list, none of them twice.
func validNamespaces(list string) bool {
	once := map[string]bool{}
	for _, item := range strings.Split(list, ",") {
		name := strings.TrimSpace(item)
		if once[name] || validation.IsDNS1123Label(name) != nil {
			return false
		}
		once[name] = true
	}
	return true
}

// FuzzParseWorkload: a workload that is named in any of kubectl's ways has one name here, which
// is read as itself. The kinds have the names that apimachinery makes of them.
func FuzzParseWorkload(f *testing.F) {
	for _, text := range []string{"deployment/web", "Deployments.apps/web", "sts/db", "po/x", "cj/", "/web", "web", "deploy/a/b", "deployment.v1.apps/web", "CRONJOB/ x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, ok := ParseWorkload(text)
		_, wanted, _ := strings.Cut(text, "/")
		if again, same := ParseWorkload(name); ok && (!same || again != name || !strings.HasSuffix(name, "/"+wanted) || wanted == "") {
			t.Errorf("%q is %q, which is %q, %t", text, name, again, same)
		}
		for _, kind := range []workload.Kind{workload.Deployment, workload.StatefulSet, workload.DaemonSet, workload.CronJob, workload.Job, workload.Pod} {
			plural, singular := meta.UnsafeGuessKindToResource(kind.GroupVersion().WithKind(string(kind)))
			for _, typed := range []string{plural.Resource, singular.Resource, string(kind), plural.GroupResource().String()} {
				if name, ok := ParseWorkload(typed + "/" + wanted); ok != (wanted != "") || ok && name != singular.Resource+"/"+wanted {
					t.Errorf("%s/%s is %q, %t", typed, wanted, name, ok)
				}
			}
		}
		if kind, name := splitWorkload(name); ok && (kind == "" || name != wanted) {
			t.Errorf("%q is split into %q and %q", text, kind, name)
		}
	})
}
