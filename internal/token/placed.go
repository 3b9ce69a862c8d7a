// SPDX-License-Identifier: Apache-2.0

package token

// Token is a token in its place: the Secret and the data key that hold it, and the
// binding that says for which place it was made. Of a bundle it is the text of all
// tokens (Join); without an EnvKey it stands for all of them, with one for that entry.
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

// Verdict is what a keyring makes of a token, or of all tokens of a bundle. The zero
// value: no key opens it.
type Verdict struct {
	Opens   bool
	KeyID   string // of the key that opened it; empty where those of a bundle are several
	Same    bool   // opens to the value that the .env has now
	Binding Binding
}

// Judge gives the verdict on a token. Who holds one sees no key and no value.
type Judge func(Token) Verdict

// Same says whether two tokens open to one plaintext.
type Same func(a, b Token) bool
