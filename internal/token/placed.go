// SPDX-License-Identifier: Apache-2.0

package token

// Token is a token in its place: the Secret and the data key that hold it, and the
// binding that says for which place it was made.
type Token struct {
	Namespace, Secret, EnvKey, Token, Binding string
}

// Binding says how a token's binding fits its place.
type Binding int

// The outcomes of checking a binding.
const (
	BindingAbsent Binding = iota
	BindingWrong
	BindingHolds
)

// Verdict is what a keyring makes of a token. The zero value: no key opens it.
type Verdict struct {
	Opens   bool
	KeyID   string // of the key that opened it
	Same    bool   // opens to the value that the .env has now
	Binding Binding
}

// Judge gives the verdict on a token. Who holds one sees no key and no value.
type Judge func(Token) Verdict

// Same says whether two tokens open to one plaintext.
type Same func(a, b Token) bool
