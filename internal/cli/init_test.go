// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
)

var freshKey = regexp.MustCompile(`(^|\n)KEY=[A-Za-z0-9_-]{43}=`)

func TestInitialBytes(t *testing.T) {
	emptyFolder(t)
	if err := clientcmd.WriteToFile(kubeconfig("*dev=local prod=shared"), "config"); err != nil {
		t.Fatal(err)
	}
	odd := kubeconfig("")
	odd.CurrentContext, odd.Contexts["it's #1 $x"] = "it's #1 $x", kubeconfig("a=b").Contexts["a"]
	if err := clientcmd.WriteToFile(odd, "odd"); err != nil {
		t.Fatal(err)
	}
	const (
		examples  = "#SECRET_DB_PASSWORD='a value'\n#SECRET-API-TOKEN='another value'\n"
		head      = "# Entries whose names start with SECRET become Kubernetes Secrets:\n#   kubectl fernet push --env x/.env\nKEY=" + testKey + "\n"
		commented = "#CLUSTER_NAME=the name of a context in your kubeconfig\n" + examples
		key       = "KEY=" + testKey
	)
	for _, c := range []struct{ kubeconfig, context, old, cluster, begin, end string }{
		{"config", "", "", "dev", head, "\nCLUSTER_NAME=dev\n" + examples},
		{"config", "prod", "", "prod", head, "\nCLUSTER_NAME=prod\n" + examples},
		{"config", "absent", "", "", head, "\n" + commented},
		{"none", "", "", "", head, "\n" + commented},
		{"odd", "", "", "it's #1 $x", head, "\n" + examples},
		{"odd", "", "A=1", "it's #1 $x", "A=1\n" + key + "\n", ""},
		{"config", "", "\ufeffA='x\ny' # z\r\n", "dev", "\ufeffA='x\ny' # z\r\n" + key, "\r\nCLUSTER_NAME=dev\r\n"},
		{"config", "", "A=1", "dev", "A=1\n" + key, "\nCLUSTER_NAME=dev\n"},
		{"config", "", "CLUSTER_NAME=mine\nA=1\n", "mine", "CLUSTER_NAME=mine\nA=1\n", "\nA=1\n" + key + "\n"},
		{"none", "", "A=1\n", "", "A=1\n", "\n" + key + "\n"},
	} {
		t.Setenv("KUBECONFIG", c.kubeconfig)
		_ = os.RemoveAll("x")
		if put(t, "x/.env", c.old); c.old == "" {
			_ = os.Remove("x/.env")
		}
		if code, _, stderr := run(t, "init", "--env", "x/.env", "--context", c.context); code != exitDone {
			t.Errorf("%+v: %s", c, stderr)
			continue
		}
		made := []byte(freshKey.ReplaceAllString(get(t, "x/.env"), "${1}KEY="+testKey))
		if text := string(made); !strings.HasPrefix(text, c.begin) || !strings.HasSuffix(text, c.end) {
			t.Errorf("%+v:\n%q", c, text)
		}
		file, err := envfile.Parse(".env", made)
		if err != nil {
			t.Fatalf("%v\n%s", err, made)
		}
		if got, _ := file.Lookup(action.VarCluster); got.Value.Reveal() != c.cluster {
			t.Errorf("%+v: CLUSTER_NAME reads back as %q", c, got.Value.Reveal())
		}
	}
}
