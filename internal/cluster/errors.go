// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

// Error is what an API server or the way to it said, without anything that this
// process knows to be secret. Way is what to do about it, if there is something to do.
type Error struct {
	Message string
	Way     hint.Text
	Rights  bool          // the user may not do this, says the API server's RBAC
	Refused Request       // with Rights: what, as far as the API server says it
	status  metav1.Status // zero when no API server answered
	broken  bool          // an API server answered, and not to its end
}

// Request is what was asked of the API server, in RBAC's words.
type Request struct{ Verb, Group, Resource string }

// forbidden is how the API server's RBAC authorizer says no.
var forbidden = regexp.MustCompile(`cannot (\w+) resource "([^"]+)" in API group "([^"]*)"`)

func refusedRequest(message string) Request {
	if m := forbidden.FindStringSubmatch(message); m != nil {
		return Request{Verb: m[1], Resource: m[2], Group: m[3]}
	}
	return Request{}
}

// Hint gives the way out.
func (e *Error) Hint() hint.Text { return e.Way }

func (e *Error) Error() string { return e.Message }

// outside is the one way for a text of others into an error or a warning. What they
// say may quote what they were sent.
func outside(text string) string { return redact.Clean(text) }

// explain rewrites an error of client-go. What an API server, an admission policy or
// a webhook says is shown as it is.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled): // no failure: somebody pressed Ctrl-C
		return context.Canceled
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return explainTransport(err)
	}
	s := status.Status()
	e := &Error{status: s, Message: cmp.Or(outside(s.Message), fmt.Sprintf("the API server answered HTTP %d", s.Code))}
	switch {
	case foreign(s):
		e.Message = fmt.Sprintf("the server answered HTTP %d and is no Kubernetes API server", s.Code)
		e.Way = "check the server's address in the kubeconfig"
	case s.Reason == metav1.StatusReasonInvalid:
		e.Message = "the API server refuses the object: " + cmp.Or(outside(s.Message), fields(s))
	case hasCause(s, corev1.NamespaceTerminatingCause):
		e.Message, e.Way = "the namespace is being deleted", "wait until it is gone, then create it again"
	case s.Reason == metav1.StatusReasonNotFound && s.Details != nil && s.Details.Kind == "namespaces":
		said := e.Message
		if e.Message = "the namespace does not exist"; s.Message != fmt.Sprintf("namespaces %q not found", s.Details.Name) {
			e.Message += ": " + said
		}
		e.Way = hint.Format("kubectl create namespace %s", outside(s.Details.Name))
	case s.Reason == metav1.StatusReasonUnauthorized:
		e.Way = "log in again: they are missing, wrong or expired"
		said := e.Message
		e.Message = "the API server does not accept these credentials"
		if said != unauthorized && !hasCause(s, metav1.CauseTypeUnexpectedServerResponse) {
			e.Message += ": " + said
		}
	case s.Reason == metav1.StatusReasonForbidden && byRBAC.MatchString(s.Message):
		e.Rights, e.Refused, e.Way = true, refusedRequest(e.Message), "ask for that verb in this namespace"
	}
	return e
}

// explainLook is explain for what was looked for and nothing changed. Where the API server is
// at fault, and so may not say what it was asked, that comes first.
func explainLook(err error, what string) error {
	err = explain(err)
	var e *Error
	if errors.As(err, &e) && (e.broken || e.status.Code >= http.StatusConflict) {
		e.Message = "cannot look at " + what + ": " + e.Message
	}
	return err
}

func secretsOf(namespace string) string {
	if namespace == metav1.NamespaceAll {
		return "the Secrets of all namespaces"
	}
	return fmt.Sprintf("the Secrets of namespace %q", namespace)
}

// explainDiscovery is explain for discovery, of which client-go keeps the code alone.
func explainDiscovery(err error) error {
	err = explainLook(err, "what kinds of objects there are")
	var e *Error
	if errors.As(err, &e) && e.status.Code != 0 && e.status.Code != http.StatusUnauthorized {
		e.Message, e.Way = fmt.Sprintf("cannot look at what kinds of objects there are: the API server answered HTTP %d", e.status.Code), ""
		if e.status.Code == http.StatusForbidden {
			e.Way = "that needs the ClusterRole system:discovery"
		}
	}
	return err
}

// unauthorized is all that an API server says to who is not logged in.
const unauthorized = "Unauthorized"

// byRBAC is how an API server's RBAC refuses, and no policy or webhook.
var byRBAC = regexp.MustCompile(`^\S+( "[^"]*")? is forbidden: User "[^"]*" cannot |^forbidden: User "[^"]*" cannot `)

// foreign says that the answer is no API server's. A 401 may come from one that
// has no more to say, and an API server or what stands before it throttles (429)
// and fails (5xx) in plain text.
func foreign(s metav1.Status) bool {
	return hasCause(s, metav1.CauseTypeUnexpectedServerResponse) &&
		s.Code != http.StatusUnauthorized && s.Code != http.StatusTooManyRequests && s.Code < 500
}

// NotFound says that an API server has answered that an object is not there, and that its
// namespace is.
func NotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.status.Reason == metav1.StatusReasonNotFound && !foreign(e.status) && (e.status.Details == nil || e.status.Details.Kind != "namespaces")
}

// absent says that an API server itself has answered that the object is not
// there: a gateway's 404 proves nothing.
func absent(err error) bool {
	var status apierrors.APIStatus
	return apierrors.IsNotFound(err) && errors.As(err, &status) && !foreign(status.Status())
}

// undecoded is in client-go's errors about a success that it cannot read; they
// quote the answer.
var undecoded = regexp.MustCompile(`serializer for .* doesn't exist|get version/kind|'Kind' is missing|^0-length response`)

// brokenOff gives the cause of an error of client-go about the body of an answer.
func brokenOff(text string) (cause string, ok bool) {
	what, cause, ok := strings.Cut(text, " Please retry. Original error: ")
	return cause, ok && strings.Contains(what, "error when reading response body")
}

func explainTransport(err error) error {
	text, server := err.Error(), &url.URL{}
	var at *url.Error
	if errors.As(err, &at) { // its text is the whole address, query and all
		text = at.Err.Error()
		if u, parseErr := url.Parse(at.URL); parseErr == nil {
			server = u
		}
	}
	text, _, _ = strings.Cut(text, "\n") // credential plugins' errors go on with advice
	if _, said, ofPlugin := strings.Cut(text, "getting credentials: "); ofPlugin {
		return pluginError(said)
	}
	e := &Error{Message: outside(text)}
	if cause, ok := brokenOff(text); ok {
		e.broken, e.Message = true, "the API server's answer broke off: "+outside(cause)
	}
	if server.Host != "" {
		e.Message = "cannot reach " + server.Scheme + "://" + server.Host + ": " + e.Message
	}
	switch {
	case strings.HasPrefix(text, "proxyconnect "):
		e.Way = hint.Format("is the proxy right that HTTPS_PROXY, or proxy-url in the kubeconfig, names? to go without it: export NO_PROXY=%s", outside(server.Hostname()))
	case undecoded.MatchString(text):
		e.Message = "the server's answer is no Kubernetes object"
		e.Way = "check the server's address in the kubeconfig"
	case strings.Contains(e.Message, "connection refused"):
		e.Way = "is the cluster running, and the server's address in the kubeconfig right?"
	case strings.Contains(e.Message, "certificate signed by unknown authority"):
		e.Way = "the kubeconfig's certificate-authority is not the one of this server"
	case strings.Contains(e.Message, "server gave HTTP response to HTTPS client"):
		e.Way = "the server's address in the kubeconfig is no Kubernetes API server"
	}
	return e
}

// pluginError is about the credential plugin that the kubeconfig names. What it printed
// instead of credentials is not shown: they may be in it.
func pluginError(said string) *Error {
	e := &Error{Message: "the credential plugin of the kubeconfig: " + outside(said), Way: "kubectl config view --minify -o jsonpath='{.users[0].user.exec}' shows its command: run it"}
	switch {
	case strings.HasPrefix(said, "decoding stdout"), strings.HasSuffix(said, "/__internal"): // the version of what has none
		e.Message = "the credential plugin of the kubeconfig printed something else than credentials"
	case strings.Contains(said, "executable") && strings.Contains(said, "not found"):
		e.Way = "install the credential plugin that the kubeconfig names"
	}
	return e
}

func hasCause(s metav1.Status, want metav1.CauseType) bool {
	if s.Details == nil {
		return false
	}
	for _, c := range s.Details.Causes {
		if c.Type == want {
			return true
		}
	}
	return false
}

// fields lists the fields that a 422 without a message complains of.
func fields(s metav1.Status) string {
	var parts []string
	if s.Details != nil {
		for _, c := range s.Details.Causes {
			parts = append(parts, c.Field+" ("+string(c.Type)+")")
		}
	}
	if len(parts) == 0 {
		return "HTTP 422"
	}
	return outside(strings.Join(parts, ", "))
}

// RefusesAll says of a Refused result that no other create can succeed in that
// namespace either: it is missing or terminating, the user may not create Secrets
// there, or something would change them.
func RefusesAll(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	s := e.status
	return e == errWouldAlter ||
		s.Reason == metav1.StatusReasonUnauthorized ||
		hasCause(s, corev1.NamespaceTerminatingCause) ||
		s.Reason == metav1.StatusReasonNotFound && s.Details != nil && s.Details.Kind == "namespaces" ||
		byRBAC.MatchString(s.Message) && strings.Contains(s.Message, "cannot create resource")
}
