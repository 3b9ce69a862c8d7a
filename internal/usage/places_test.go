// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/kubectl-fernet/kubectl-fernet/internal/usage"
)

// filler makes values of the API's types, and remembers where it put which kind of string.
type filler struct {
	toSecrets []string // paths of references to Secrets, as the types tell
	inMaps    []string // paths in maps whose keys anyone may choose
	depth     int
}

// secretTypes are the API's types that refer to a Secret, and the field that has its name.
var secretTypes = map[reflect.Type]string{
	reflect.TypeFor[corev1.SecretReference]():      "name",
	reflect.TypeFor[corev1.SecretEnvSource]():      "name",
	reflect.TypeFor[corev1.SecretKeySelector]():    "name",
	reflect.TypeFor[corev1.SecretProjection]():     "name",
	reflect.TypeFor[corev1.SecretVolumeSource]():   "secretName",
	reflect.TypeFor[corev1.LocalObjectReference](): "name",
	reflect.TypeFor[corev1.ObjectReference]():      "name",
}

// byField says that a field of a type that refers to anything refers to a Secret.
var byField = regexp.MustCompile(`(?i)secret`)

var leafTypes = map[reflect.Type]bool{reflect.TypeFor[metav1.ListMeta](): true, reflect.TypeFor[metav1.ObjectMeta](): true, reflect.TypeFor[metav1.Time](): true, reflect.TypeFor[metav1.MicroTime](): true}

// value gives a JSON value of a type in which each string is `secret-a`, and one item in
// each list and map. Types that hold themselves end at some depth.
func (f *filler) value(typ reflect.Type, path string) any {
	if f.depth++; f.depth > 40 || leafTypes[typ] {
		f.depth--
		return nil
	}
	defer func() { f.depth-- }()
	switch typ.Kind() {
	case reflect.Pointer:
		return f.value(typ.Elem(), path)
	case reflect.String:
		return "secret-a"
	case reflect.Slice:
		if typ.Elem().Kind() == reflect.Uint8 {
			return "c2VjcmV0LWE="
		}
		return []any{f.value(typ.Elem(), path+"[0]")}
	case reflect.Map:
		if typ.Elem().Kind() == reflect.String || typ.Elem().Kind() == reflect.Slice {
			f.inMaps = append(f.inMaps, path+".anyName")
		}
		return map[string]any{"anyName": f.value(typ.Elem(), path+".anyName")}
	case reflect.Struct:
		return f.fields(typ, path)
	default:
		return nil
	}
}

func (f *filler) fields(typ reflect.Type, path string) any {
	if typ == reflect.TypeFor[runtime.RawExtension]() {
		f.inMaps = append(f.inMaps, path+".anyName")
		return map[string]any{"anyName": "secret-a"}
	}
	fields := map[string]any{}
	for i := range typ.NumField() {
		field := typ.Field(i)
		tag, tagged := field.Tag.Lookup("json")
		name, _, _ := strings.Cut(tag, ",")
		switch {
		case !tagged || name == "-":
		case name == "":
			if inline, ok := f.value(field.Type, path).(map[string]any); ok {
				for key, value := range inline {
					fields[key] = value
				}
			}
		default:
			if f.refers(typ, path, name) {
				f.toSecrets = append(f.toSecrets, path+"."+name)
			}
			fields[name] = f.value(field.Type, path+"."+name)
		}
	}
	return fields
}

// refers says that the field of a type is the name of a Secret.
func (f *filler) refers(typ reflect.Type, path, name string) bool {
	if name == "secretName" {
		return true
	}
	own, known := secretTypes[typ]
	last := path[strings.LastIndex(path, ".")+1:]
	toAny := typ == reflect.TypeFor[corev1.LocalObjectReference]() || typ == reflect.TypeFor[corev1.ObjectReference]()
	return known && name == own && (!toAny || byField.MatchString(last))
}

// filled makes an object of a kind, full of the name of a Secret.
func filled(typ reflect.Type, gvk string) (*unstructured.Unstructured, *filler) {
	f := &filler{}
	object, _ := f.value(typ, "").(map[string]any)
	obj := &unstructured.Unstructured{Object: object}
	setKind(obj, gvk)
	return obj, f
}

// eachKind gives each kind of object that client-go knows, as "apps/v1 Deployment".
func eachKind(t *testing.T, do func(kind string, typ reflect.Type)) {
	t.Helper()
	kinds := 0
	for gvk, typ := range scheme.Scheme.AllKnownTypes() {
		_, isObject := reflect.New(typ).Interface().(metav1.Object)
		if !isObject || gvk.Version == runtime.APIVersionInternal || gvk.Kind == "Event" || gvk.Kind == "Secret" || gvk.Kind == "ControllerRevision" {
			continue
		}
		kinds++
		do(gvk.GroupVersion().String()+" "+gvk.Kind, typ)
	}
	if kinds < 100 {
		t.Errorf("only %d kinds", kinds)
	}
}

// The API's own types tell which fields refer to a Secret: these are the uses, and
// nothing else is one. What a later version of them adds fails here.
func TestUsesAreAllThatTheAPIHas(t *testing.T) {
	all := 0
	eachKind(t, func(kind string, typ reflect.Type) {
		obj, f := filled(typ, kind)
		var got []string
		for _, hit := range usage.Find(obj, wanted) {
			if hit.Class == usage.Use {
				got = append(got, hit.Path)
			}
		}
		want := slices.DeleteFunc(f.toSecrets, func(path string) bool { return strings.HasPrefix(path, ".status") })
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: found %q, want %q", kind, got, want)
		}
		all += len(want)
	})
	if all < 390 {
		t.Errorf("only %d fields", all)
	}
}

// Under keys that anyone may choose every name is mentioned, and the key too.
func TestMapsOfTheAPIAreLookedThrough(t *testing.T) {
	picked := regexp.MustCompile(`\.(matchLabels|nodeSelector|selector|labels|topology|deprecatedTopology|extra|attestations|status)\.`)
	eachKind(t, func(kind string, typ reflect.Type) {
		obj, f := filled(typ, kind)
		mentioned := map[string]bool{}
		for _, hit := range usage.Find(obj, wanted) {
			mentioned[strings.TrimSuffix(hit.Path, "[0]")] = true
		}
		for _, path := range f.inMaps {
			if mentioned[path] == picked.MatchString(path) {
				t.Errorf("%s: %s is mentioned: %v", kind, path, mentioned[path])
			}
		}
	})
}

// What surely names something else is nothing.
func TestNamesOfOtherThingsInTheAPI(t *testing.T) {
	named := regexp.MustCompile(`\.(name|\w+Name|namespace|\w+Namespace|path|\w+Path|host|image|port|key)$`)
	inMap := regexp.MustCompile(`\.anyName$|\.options\[0\]\.name$|^\.spec\.parameters\.`)
	eachKind(t, func(kind string, typ reflect.Type) {
		obj, _ := filled(typ, kind)
		for _, hit := range usage.Find(obj, wanted) {
			if hit.Class == usage.Mention && named.MatchString(hit.Path) && !inMap.MatchString(hit.Path) {
				t.Errorf("%s: %s is mentioned", kind, hit.Path)
			}
		}
	})
}
