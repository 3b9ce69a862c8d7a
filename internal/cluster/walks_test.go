// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	rbac "k8s.io/client-go/kubernetes/typed/rbac/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// labs makes so many labs, each with objects that name secret-a, and of which the first
// names secret-b, too.
func labs(t *testing.T, n int) (all []lab, namespaces []string) {
	t.Helper()
	for i := range n {
		l := newLab(t)
		l.make(t, "v1/configmaps", `{kind: ConfigMap, apiVersion: v1, metadata: {name: cm}, data: {a: secret-a, b: secret-b}}`)
		l.make(t, "apps/v1/deployments", `{kind: Deployment, apiVersion: apps/v1, metadata: {name: web}, spec: {paused: true, replicas: 0, `+appX+`, template: `+template+`}}`)
		l.make(t, "apps/v1/statefulsets", `{kind: StatefulSet, apiVersion: apps/v1, metadata: {name: none}, spec: {replicas: 0, serviceName: db, `+appX+`, template: `+strings.ReplaceAll(template, "secret-a", "other")+`}}`)
		l.make(t, "v1/secrets", `{kind: Secret, apiVersion: v1, metadata: {name: copy, annotations: {copied-from: secret-a}}}`)
		l.ours(t, nil, "secret-a")
		all, namespaces = append(all, l), append(namespaces, l.namespace)
		if i == 0 {
			l.make(t, "v1/configmaps", `{kind: ConfigMap, apiVersion: v1, metadata: {name: more}, data: {a: secret-b}}`)
		}
	}
	return all, namespaces
}

// everywhereListed makes a user who may list these resources in the whole cluster.
func everywhereListed(t *testing.T, l lab, resources ...string) string {
	t.Helper()
	name, roles := "all-of-"+l.namespace, rbac.NewForConfigOrDie(testkube.RESTConfig(t))
	rule := rbacv1.PolicyRule{APIGroups: []string{"*"}, Resources: resources, Verbs: []string{"list"}}
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{rule}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}},
	}
	if _, err := roles.ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := roles.ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	user := testkube.User(t, l.namespace, name, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"watch"}})
	until(t, "the user may list", func() bool {
		_, err := connect(t, load(t, user), nil).Labelled(t.Context(), "", "no=thing")
		return err == nil
	})
	return user
}

// What a walk over many namespaces gives is what one over each of them gives, whatever the
// user may do, and it takes few requests where they may list the cluster.
func TestWalksOfManyNamespaces(t *testing.T) {
	const n = 6
	all, namespaces := labs(t, n)
	elsewhere, _ := labs(t, 1)
	list := func(groups, resources []string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: groups, Resources: resources, Verbs: []string{"list"}}
	}
	inEach := "each-of-" + all[0].namespace
	var local string
	for i, l := range all {
		rules := []rbacv1.PolicyRule{list([]string{"", "batch"}, []string{"*"})}
		if i != 2 {
			rules = append(rules, list([]string{"apps"}, []string{"*"}))
		}
		local = testkube.User(t, l.namespace, inEach, rules...)
	}
	for name, tc := range map[string]struct {
		user string
		most int // requests, but for discovery
	}{
		"an administrator":                 {testkube.Kubeconfig(t), 60},
		"all kinds of the cluster":         {everywhereListed(t, all[0], "*"), 60},
		"few kinds of the cluster":         {everywhereListed(t, all[1], "configmaps", "deployments", "secrets"), 60 * (n + 1)},
		"all kinds but in some namespaces": {local, 60 * (n + 1)},
	} {
		t.Run(name, func(t *testing.T) {
			wanted := func(namespace, name string) bool {
				return name == "secret-a" || name == "secret-b" && namespace == namespaces[0]
			}
			var mutex sync.Mutex
			requests := 0
			client := connect(t, load(t, tc.user), func(e cluster.Exchange) {
				mutex.Lock()
				defer mutex.Unlock()
				if strings.Contains(e.Path, elsewhere[0].namespace) {
					t.Errorf("asked for %s", e.Path)
				}
				requests++
			})
			walks, err := client.Walks(t.Context(), namespaces, wanted)
			if err != nil || len(walks) != n {
				t.Fatalf("%d walks, %v", len(walks), err)
			}
			if requests > tc.most {
				t.Errorf("%d requests, want at most %d", requests, tc.most)
			}
			for _, namespace := range namespaces {
				one, err := client.Walks(t.Context(), []string{namespace}, wanted)
				if err != nil {
					t.Fatal(err)
				}
				wantSameWalk(t, walks[namespace], one[namespace])
			}
			if got := found(walks[namespaces[0]], "configmap/more"); got != "mentions|the name is mentioned|||.data.a" {
				t.Errorf("in the first namespace found %q", got)
			}
			if got := len(walks[namespaces[1]].Workloads); name == "an administrator" && got != 1 {
				t.Errorf("%d workloads refer to a wanted name", got)
			}
		})
	}
}

// wantSameWalk compares two walks but for what is told of a refusal.
func wantSameWalk(t *testing.T, got, want cluster.Walk) {
	t.Helper()
	for _, walk := range []*cluster.Walk{&got, &want} {
		for i := range walk.Denied {
			if walk.Denied[i].Err == nil {
				t.Errorf("no reason why %s is denied", walk.Denied[i])
			}
			walk.Denied[i].Err = nil
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("together\n%+v\nby itself\n%+v", got, want)
	}
}

// countOf gives how often a kind was listed: in the cluster, and in single namespaces.
func (l lab) countOf(plural string) (whole, single int) {
	for _, r := range l.proxy.Requests() {
		switch {
		case !strings.HasSuffix(r.Path, "/"+plural):
		case strings.Contains(r.Path, "/namespaces/"):
			single++
		default:
			whole++
		}
	}
	return whole, single
}

// pagesGone has the API server forget a list when its second page is asked for.
func pagesGone(first faultproxy.Rule) faultproxy.Rule {
	return func(r faultproxy.Request) faultproxy.Action {
		if action := first(r); action != nil && strings.Contains(r.RawQuery, "continue=") {
			return faultproxy.Status(410, nil, nil)
		}
		return first(r)
	}
}

// A list of the cluster is given up where it fails, or takes more pages than there are
// namespaces; in few namespaces it is not tried.
func TestWalksGiveUpTheWholeCluster(t *testing.T) {
	all, namespaces := labs(t, 5)
	l := all[0]
	page := func(more string) faultproxy.Action {
		body := `{"kind":"LimitRangeList","apiVersion":"v1","metadata":{"continue":"next"` + more + `},"items":[]}`
		return faultproxy.Status(200, asJSON, []byte(body))
	}
	whole := func(a faultproxy.Action) faultproxy.Rule { return at("/api/v1/limitranges", a) }
	for name, tc := range map[string]struct {
		rule          faultproxy.Rule
		namespaces    []string
		whole, single int
	}{
		"as it is":              {nil, namespaces, 1, 0},
		"it has too many":       {whole(page(`,"remainingItemCount":2001`)), namespaces, 1, 5},
		"nobody says how many":  {whole(page("")), namespaces, 5, 5},
		"it fails":              {whole(faultproxy.Status(500, nil, nil)), namespaces, 1, 5},
		"its pages are gone":    {faultproxy.First(2, pagesGone(whole(page(`,"remainingItemCount":1`)))), namespaces, 3, 0},
		"there is one":          {nil, namespaces[:1], 0, 1},
		"there are few of them": {nil, namespaces[:4], 0, 4},
	} {
		t.Run(name, func(t *testing.T) {
			if l.proxy.Reset(); tc.rule != nil {
				l.proxy.Reset(tc.rule)
			}
			walks, err := l.client.Walks(t.Context(), tc.namespaces, usesA)
			if err != nil {
				t.Fatal(err)
			}
			for _, namespace := range tc.namespaces {
				if got := found(walks[namespace], "configmap/cm"); got != "mentions|the name is mentioned|||.data.a" || walks[namespace].Denied != nil {
					t.Errorf("found %q, denied %v", got, walks[namespace].Denied)
				}
			}
			if whole, single := l.countOf("limitranges"); whole != tc.whole || single != tc.single {
				t.Errorf("%d lists of the cluster and %d of a namespace, want %d and %d", whole, single, tc.whole, tc.single)
			}
		})
	}
}

// Helm's releases are looked at whole, and of other Secrets the metadata alone.
func TestWalkLooksIntoReleases(t *testing.T) {
	l := newLab(t)
	content := `{"name":"web","version":1,"manifest":"apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web}\nsecrets: [{name: secret-a}]\n"}`
	release := base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(content))))
	l.make(t, "v1/secrets", `{kind: Secret, apiVersion: v1, type: helm.sh/release.v1, metadata: {name: sh.helm.release.v1.web.v1, labels: {owner: helm, name: web, version: "1", status: deployed}}, data: {release: `+release+`}}`)
	l.make(t, "v1/secrets", `{kind: Secret, apiVersion: v1, metadata: {name: another, annotations: {a: secret-a}}, data: {release: `+release+`}}`)
	walk := l.walk(t)
	var got []string
	for _, f := range walk.Findings {
		got = append(got, f.Object()+" "+f.Class.Ignore())
	}
	if want := []string{"helm release web, revision 1 manifests", "secret/another mentions"}; !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("found %q, want %q", got, want)
	}
	for _, r := range l.proxy.Requests() {
		if strings.HasSuffix(r.Path, "/secrets") && !strings.Contains(r.RawQuery, "fieldSelector=type%21%3D") && !strings.Contains(r.RawQuery, "limit=20") {
			t.Errorf("releases are asked for in large pages: %s", r.RawQuery)
		}
	}
}

// Discovery is asked once; an error is no answer.
func TestDiscoveryIsAskedOnce(t *testing.T) {
	l := newLab(t)
	l.proxy.Reset(faultproxy.First(1, at("/apis", faultproxy.Status(500, nil, nil))))
	if _, err := walkOf(t.Context(), l.client, l.namespace); err == nil {
		t.Error("no discovery, and no error")
	}
	l.proxy.Reset()
	for range 2 {
		l.walk(t)
	}
	n := 0
	for _, r := range l.proxy.Requests() {
		if r.Path == "/api" || r.Path == "/apis" {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d requests to /api and /apis, want one each", n)
	}
}

// No more requests are under way at once than Connect was told; who does not want to wait
// for a slot any more gets none.
func TestRequestsAreBounded(t *testing.T) {
	l := newLab(t)
	client, err := cluster.Connect(load(t, l.way), nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	held := make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	defer release()
	l.proxy.Reset(faultproxy.First(1, at("/secrets/first", faultproxy.Hold(held, nil))))
	get := func(name string) <-chan error {
		done := make(chan error, 1)
		go func() {
			_, err := client.GetSecrets(t.Context(), l.namespace, []string{name})
			done <- err
		}()
		return done
	}
	first := get("first")
	until(t, "the first is under way", func() bool { return len(l.proxy.Requests()) == 1 })
	second := get("second")
	ctx, cancel := testContext(t)
	cancel()
	if _, err := client.GetSecrets(ctx, l.namespace, []string{"third"}); err == nil {
		t.Error("got a slot that was not there")
	}
	if n := len(l.proxy.Requests()); n != 1 {
		t.Errorf("%d requests under way, want 1", n)
	}
	release()
	for _, done := range []<-chan error{first, second} {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if got := namesIn(l.proxy.Requests(), http.MethodGet); !slices.Equal(got, []string{"first", "second"}) {
		t.Error(fmt.Sprint("asked for ", got))
	}
}
