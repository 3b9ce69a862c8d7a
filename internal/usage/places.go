// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"slices"
	"strings"
)

// reading is how the values of an object are read.
type reading int

const (
	nothing reading = iota // not at all
	builtIn                // by the fields of the kinds that every API server has
	custom                 // as a custom resource
	state                  // as the status of a custom resource
	free                   // as text under keys that anyone may choose: annotations, the data of a ConfigMap
)

// meaning is what a string is, by where it stands.
type meaning int

const (
	other     meaning = iota // the name of something else, or no name
	reference                // the name of a Secret
	anything                 // the name of a Secret if it is equal to one, else text
	mention                  // text
)

// place is where a value stands: under a key of an object that itself stands under the
// key parent, both perhaps in lists.
type place struct {
	how         reading
	parent, key string
	object      map[string]any
}

func set(keys ...string) map[string]bool {
	all := map[string]bool{}
	for _, key := range keys {
		all[key] = true
	}
	return all
}

var (
	// pickers are the keys of what objects are labelled with and picked by, and of owners,
	// which are of the same namespace and go when their owner goes.
	pickers = set("labels", "matchLabels", "matchExpressions", "matchFields", "selector", "labelSelector", "nodeSelector", "tolerations", "ownerReferences")

	// rules are, in the built-in kinds, the keys of what a Role or a quota is about.
	rules = set("apiGroups", "resources", "verbs", "scopes", "matchLabelKeys", "mismatchLabelKeys")

	// freeMaps are, in the built-in kinds, the keys of maps whose keys anyone may choose, but for
	// labels and quantities.
	freeMaps = set("annotations", "userAnnotations", "unverifiedUserAnnotations", "data", "binaryData", "options", "parameters", "volumeAttributes")

	// hosts are the keys of what is an image, a host, a Service or a port in any kind.
	hosts = set("image", "serviceName", "subdomain", "hostname", "hostnames", "host", "hosts", "port", "targetPort")

	// others are, in the built-in kinds, the keys of further strings that name no Secret, or
	// a key inside one.
	others = set("key", "kind", "namespaces", "serviceAccount", "service", "container", "appProtocol", "workingDir", "subPathExpr", "topologyKey", "reference")

	// notSecrets are the keys of references that cannot be to a Secret in any kind.
	notSecrets = set("claimName", "serviceAccountName", "storageClassName", "configMapName")

	// notSecretRefs are the keys of objects whose name is that of something else in any kind.
	notSecretRefs = set("configMap", "configMapRef", "configMapKeyRef", "scaleTargetRef")

	// secretRefs are, in the built-in kinds, the keys of objects whose name is a Secret's.
	secretRefs = set("secret", "secrets", "secretRef", "secretKeyRef", "imagePullSecrets")
)

// called says, by the key above, beside which other keys a name is what that thing itself
// is called. A volume has its source beside it, whatever that is.
var called = map[string][]string{
	"volumeMounts": {"mountPath"}, "volumeDevices": {"devicePath"},
	"containers": {"image"}, "initContainers": {"image"}, "ephemeralContainers": {"image"},
	"containerStatuses": {"image"}, "initContainerStatuses": {"image"}, "ephemeralContainerStatuses": {"image"},
	"ports": {"port", "containerPort"}, "env": {"value", "valueFrom"},
	"service": {"port"}, "services": {"port"}, "backendRefs": {"port"},
}

// inner is how the value at a place is read.
func (p place) inner() reading {
	_, isText := p.object[p.key].(string)
	switch {
	case p.how == free:
		return free
	case pickers[p.key] && !isText: // a custom resource may pick a Secret by its name
		return nothing
	case p.key == "annotations":
		return free
	case p.how == builtIn && rules[p.key]:
		return nothing
	case p.how == builtIn && freeMaps[p.key]:
		return free
	default:
		return p.how
	}
}

// leaf is what a string at a place is.
func (p place) leaf() meaning {
	switch {
	case p.how == free:
		return p.inMap()
	case hosts[p.key]:
		return other
	case p.how == builtIn:
		return p.inBuiltIn()
	case p.isCalled(), p.how == state && p.namesOtherKind():
		return other
	case p.how == state:
		return reference
	case p.namesOtherKind():
		return mention
	default:
		return anything
	}
}

// inMap is what a string under a key that anyone may choose is: text, but for the Secret of
// a volume's driver.
func (p place) inMap() meaning {
	if p.key == "secretName" && (p.parent == "volumeAttributes" || p.parent == "options") {
		return reference
	}
	return mention
}

// inBuiltIn is what a string in a field of a built-in kind is.
func (p place) inBuiltIn() meaning {
	switch {
	case p.key == "secretName", p.key == "name" && (secretRefs[p.parent] || strings.HasSuffix(p.parent, "SecretRef")):
		return reference
	case others[p.key], endsInWord(p.key, "name"), endsInWord(p.key, "namespace"), endsInWord(p.key, "path"):
		return other
	default:
		return mention
	}
}

// endsInWord says that a key is a word, or ends in it: name, claimName.
func endsInWord(key, word string) bool {
	return key == word || strings.HasSuffix(key, strings.ToUpper(word[:1])+word[1:])
}

// isCalled says of a string in a custom resource that something else is called so.
func (p place) isCalled() bool {
	switch {
	case notSecrets[p.key]:
		return true
	case p.key != "name":
		return false
	case p.parent == "volumes":
		return len(p.object) > 1
	case notSecretRefs[p.parent]:
		return true
	default:
		return slices.ContainsFunc(called[p.parent], func(key string) bool { _, has := p.object[key]; return has })
	}
}

// namesOtherKind says of a string in a custom resource that it is the name of an object of
// another kind, as the kind beside it says.
func (p place) namesOtherKind() bool {
	kind, _ := p.object["kind"].(string)
	return p.key == "name" && kind != "" && kind != secret.Kind
}
