// SPDX-License-Identifier: Apache-2.0

// Package testkube gives tests a real Kubernetes control plane: kubeconfigs, fresh namespaces and users with few rights.
//
// Under `bin/localkube run`, as in `make test`, all test programs share the control plane of that command, which
// FERNET_TEST_KUBECONFIG and FERNET_TEST_DATADIR name. Otherwise the first test that asks starts one for its own program,
// and it stops, and removes its files, when that program ends, however it ends. Tests never skip for want of one: where
// bin/localkube is missing, they fail and say how to build it.
package testkube

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authorization "k8s.io/client-go/kubernetes/typed/authorization/v1"
	core "k8s.io/client-go/kubernetes/typed/core/v1"
	rbac "k8s.io/client-go/kubernetes/typed/rbac/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// patience is how long the control plane has for one thing that a test asks of it.
const patience = 30 * time.Second

// Root is the repository's root folder.
func Root(t testing.TB) string {
	t.Helper()
	root, err := root()
	if err != nil {
		t.Fatalf("repository root: %v", err)
	}
	return root
}

// Kubeconfig is the path of the administrator's kubeconfig; its only context is called localkube.
func Kubeconfig(t testing.TB) string {
	t.Helper()
	return get(t).kubeconfig
}

// RESTConfig is the administrator's client configuration, without client-go's limit of five requests a second.
func RESTConfig(t testing.TB) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", Kubeconfig(t))
	if err != nil {
		t.Fatalf("control plane: %v", err)
	}
	config.QPS = -1
	return config
}

// Namespace makes a namespace that no other test has, and deletes it after the test, without waiting until it is gone.
func Namespace(t testing.TB) string {
	t.Helper()
	name := "t-" + strings.ToLower(rand.Text()[:12])
	namespaces := core.NewForConfigOrDie(RESTConfig(t)).Namespaces()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := namespaces.Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatalf("namespace for the test: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		_ = namespaces.Delete(ctx, name, metav1.DeleteOptions{}) // the test may have done so itself
	})
	return name
}

// User makes a user who has exactly these rights in one namespace, and returns the path of a kubeconfig whose context has
// the user's name. The rights are in effect when it returns.
func User(t testing.TB, namespace, name string, rules ...rbacv1.PolicyRule) (kubeconfig string) {
	t.Helper()
	Grant(t, namespace, name, rules...)
	kubeconfig = filepath.Join(t.TempDir(), name)
	out, err := exec.Command(filepath.Join(Root(t), "bin", "localkube"), "user",
		"--data-dir", get(t).dataDir, "--kubeconfig", kubeconfig, name).CombinedOutput()
	if err != nil {
		t.Fatalf("user %s: %v: %s", name, err, out)
	}
	return kubeconfig
}

// Grant gives a user these rights in one namespace, by a Role of the user's name. They are in effect when it returns.
func Grant(t testing.TB, namespace, user string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: user}, Rules: rules}
	if _, err := rbac.NewForConfigOrDie(RESTConfig(t)).Roles(namespace).Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatalf("rights of %s in %s: %v", user, namespace, err)
	}
	Bind(t, namespace, user, "Role", user, rules...)
}

// Bind gives a user a Role or a ClusterRole in one namespace. It waits until the first of these rules of it is in effect.
func Bind(t testing.TB, namespace, user, kind, role string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	config := RESTConfig(t)
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: user},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	_, err := rbac.NewForConfigOrDie(config).RoleBindings(namespace).Create(t.Context(), binding, metav1.CreateOptions{})
	if err == nil && len(rules) > 0 {
		err = awaitRule(t.Context(), config, namespace, user, rules[0])
	}
	if err != nil {
		t.Fatalf("rights of %s in %s: %v", user, namespace, err)
	}
}

// awaitRule waits until a user may do the first thing that a rule allows: the API server learns of new rules a little later
// than it stores them, but of all rules of a Role at once.
func awaitRule(ctx context.Context, config *rest.Config, namespace, user string, rule rbacv1.PolicyRule) error {
	reviews := authorization.NewForConfigOrDie(config).SubjectAccessReviews()
	resource, subresource, _ := strings.Cut(rule.Resources[0], "/")
	asked := &authorizationv1.ResourceAttributes{
		Namespace: namespace, Verb: rule.Verbs[0], Group: rule.APIGroups[0], Resource: resource, Subresource: subresource,
	}
	if len(rule.ResourceNames) > 0 {
		asked.Name = rule.ResourceNames[0]
	}
	review := &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: asked},
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		answer, err := reviews.Create(ctx, review, metav1.CreateOptions{})
		if err != nil || answer.Status.Allowed {
			return err
		}
	}
	return fmt.Errorf("still may not %s %s after %v", rule.Verbs[0], rule.Resources[0], patience)
}

// controlPlane is where a running control plane keeps what its users need, and what keeps it running if it is ours.
type controlPlane struct {
	kubeconfig, dataDir string
	lifeline            io.Closer
}

// started is the one control plane of this test program.
var started = sync.OnceValues(func() (controlPlane, error) {
	shared := controlPlane{kubeconfig: os.Getenv("FERNET_TEST_KUBECONFIG"), dataDir: os.Getenv("FERNET_TEST_DATADIR")}
	switch {
	case shared.kubeconfig == "" && shared.dataDir == "":
		return start()
	case shared.kubeconfig == "" || shared.dataDir == "":
		return shared, errors.New("one of FERNET_TEST_KUBECONFIG and FERNET_TEST_DATADIR is set, the other is not")
	}
	return shared, nil
})

func get(t testing.TB) controlPlane {
	t.Helper()
	plane, err := started()
	if err != nil {
		t.Fatalf("control plane: %v", err)
	}
	return plane
}

// start runs a control plane until this program ends: the command beside it reads a pipe whose other end is ours, and which
// nobody closes as long as the control plane refers to it.
func start() (controlPlane, error) {
	root, err := root()
	if err != nil {
		return controlPlane{}, err
	}
	localkube := filepath.Join(root, "bin", "localkube")
	if _, err := os.Stat(localkube); err != nil {
		return controlPlane{}, errors.New("bin/localkube is missing; run: make localkube")
	}
	cmd := exec.Command(localkube, "run", "--", "sh", "-c",
		`echo "$FERNET_TEST_KUBECONFIG"; echo "$FERNET_TEST_DATADIR"; exec cat >/dev/null`)
	cmd.Stderr = os.Stderr //nolint:forbidigo // go test waits until nobody has it open: until all has stopped
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		return controlPlane{}, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return controlPlane{}, err
	}
	if err := cmd.Start(); err != nil {
		return controlPlane{}, fmt.Errorf("bin/localkube: %w", err)
	}
	lines := bufio.NewScanner(out)
	if lines.Scan() {
		plane := controlPlane{kubeconfig: lines.Text(), lifeline: lifeline}
		if lines.Scan() {
			plane.dataDir = lines.Text()
			return plane, nil
		}
	}
	return controlPlane{}, fmt.Errorf("bin/localkube did not start (%w); its reason is above, or run: make localkube", cmd.Wait())
}

// root looks upward from the test's folder for the go.mod of the root module.
func root() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		mod, _ := os.ReadFile(filepath.Join(dir, "go.mod")) // not there: look further up
		if strings.HasPrefix(string(mod), "module github.com/kubectl-fernet/kubectl-fernet\n") {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod of the root module above the working directory")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}
