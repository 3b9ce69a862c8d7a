// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// HelmRelease is the type of the Secrets in which Helm stores its releases.
const HelmRelease = "helm.sh/release.v1"

// maxRelease bounds what a release may be when it is decompressed.
const maxRelease = 64 << 20

// stored gives the text in which Helm stores a release; empty: the object stores none.
func stored(obj *unstructured.Unstructured) string {
	kind, ofType, _ := unstructured.NestedString(obj.Object, "type")
	owner, _, _ := unstructured.NestedString(obj.Object, "metadata", "labels", "owner")
	text, _, _ := unstructured.NestedString(obj.Object, "data", "release")
	if groupKind(obj) == secret && ofType && kind == HelmRelease || groupKind(obj) == configMap && owner == "helm" {
		return text
	}
	return ""
}

func isRelease(obj *unstructured.Unstructured) bool { return stored(obj) != "" }

// ofRelease says which release of Helm an object stores, by its labels. The one that is
// deployed, or about to be, is the manifest of what is there; the others are history.
func (s *Seen) ofRelease(obj *unstructured.Unstructured) {
	labels := obj.GetLabels()
	s.finding.Release, s.finding.Revision = labels["name"], labels["version"]
	s.finding.Owner = "helm release " + labels["name"]
	s.owner = owner{object: s.finding.Owner}
	if status := labels["status"]; status != "deployed" && !strings.HasPrefix(status, "pending-") {
		s.finding.Class, s.finding.Reason = History, "older Helm release"
	}
}

// release is what Helm stores, as far as it is read.
type release struct {
	Manifest string // YAML documents
	Hooks    []struct{ Manifest string }
}

// release gives the hits in the objects of a release: those that could not be read as
// one are only looked through as text.
func (f finder) release(obj *unstructured.Unstructured) (hits []Hit) {
	text := stored(obj)
	r, err := unpack(text, groupKind(obj) == secret)
	if err != nil {
		return f.mentions(text)
	}
	hits = f.documents(r.Manifest, obj.GetNamespace())
	for _, hook := range r.Hooks {
		hits = append(hits, f.documents(hook.Manifest, obj.GetNamespace())...)
	}
	return hits
}

var gzipped = []byte{0x1f, 0x8b, 0x08}

// unpack reads a release: base64 of JSON that is compressed or not; what is in a Secret
// is encoded once more.
func unpack(text string, inSecret bool) (r release, err error) {
	data, err := base64.StdEncoding.DecodeString(text)
	if err == nil && inSecret {
		data, err = base64.StdEncoding.DecodeString(string(data))
	}
	if err == nil && bytes.HasPrefix(data, gzipped) {
		data, err = decompress(data)
	}
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	return r, err
}

func decompress(data []byte) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	data, err = io.ReadAll(io.LimitReader(reader, maxRelease+1))
	if err == nil && len(data) > maxRelease {
		err = errors.New("too large")
	}
	return data, err
}

var separator = regexp.MustCompile(`(?m)^---([ \t].*)?\r?$`)

// documents gives the hits in YAML documents, but for objects of another namespace, whose
// Secrets are there.
func (f finder) documents(text, namespace string) (hits []Hit) {
	for _, document := range separator.Split(text, -1) {
		var object map[string]any
		if yaml.Unmarshal([]byte(document), &object) != nil {
			hits = append(hits, f.mentions(document)...)
			continue
		}
		for _, obj := range items(object) {
			if its := obj.GetNamespace(); its == "" || namespace == "" || its == namespace {
				hits = append(hits, f.document(obj)...)
			}
		}
	}
	return hits
}

func (f finder) document(obj *unstructured.Unstructured) []Hit {
	return in(object(groupKind(obj), obj.GetName()), asManifest(f.object(obj)))
}

// items gives the objects of a list, and any other object by itself.
func items(object map[string]any) (all []*unstructured.Unstructured) {
	list, ok := object["items"].([]any)
	if !ok {
		return []*unstructured.Unstructured{{Object: object}}
	}
	for _, item := range list {
		if item, ok := item.(map[string]any); ok {
			all = append(all, &unstructured.Unstructured{Object: item})
		}
	}
	return all
}
