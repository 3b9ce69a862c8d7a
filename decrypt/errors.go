// SPDX-License-Identifier: Apache-2.0

package decrypt

import (
	"fmt"
	"strings"
	"time"
)

// EntryError says which variable of an environment, or which file of a folder,
// an error is about. Err is one of the other errors here, for errors.As, or says
// that the file is not a regular one.
type EntryError struct {
	Name string
	Err  error
}

func (e *EntryError) Error() string { return fmt.Sprintf("%s: %v", e.Name, e.Err) }

// Unwrap gives Err.
func (e *EntryError) Unwrap() error { return e.Err }

// KeyError says which key was refused, and why. It holds no part of the key.
type KeyError struct {
	// Position is 0 for the primary key, 1 for the first previous key, and so on.
	Position int
	Reason   KeyReason
}

func (e *KeyError) Error() string {
	if e.Position == 0 {
		return "primary key: " + string(e.Reason)
	}
	return fmt.Sprintf("previous key %d: %s", e.Position, e.Reason)
}

// KeyReason is why a text is refused as a key, in words for a person.
type KeyReason string

// The reasons of a KeyError. Those from KeyPEM to KeyToken are guesses at what
// the text is instead of a key.
const (
	KeyUnset     KeyReason = "it is not set"
	KeyEmpty     KeyReason = "it is empty"
	KeyPEM       KeyReason = "it looks like a PEM block, not like a Fernet key"
	KeyAge       KeyReason = "it looks like an age key, not like a Fernet key"
	KeyJWT       KeyReason = "it looks like a JWT, not like a Fernet key"
	KeyAWS       KeyReason = "it looks like an AWS key, not like a Fernet key"
	KeyToken     KeyReason = "it looks like a Fernet token, not like a key"
	KeyList      KeyReason = "it has a comma; only one key belongs here, older ones go to the previous keys"
	KeyBlank     KeyReason = "it has a blank, a line break or a quote inside"
	KeyHex       KeyReason = "it is hexadecimal; a Fernet key is URL-safe base64"
	KeyAlphabet  KeyReason = "it has characters that are not base64"
	KeyShort     KeyReason = "it is less than the 32 bytes of a Fernet key"
	KeyLong      KeyReason = "it is more than the 32 bytes of a Fernet key"
	KeyStandard  KeyReason = "it is in the standard base64 alphabet; a Fernet key has - for + and _ for /"
	KeyPadding   KeyReason = "it does not end in exactly one ="
	KeyTail      KeyReason = "no encoder writes its last character; it was mistyped or cut"
	KeyZero      KeyReason = "it is all zero"
	KeyPublished KeyReason = "it is published in the Fernet specification, so everybody has it"
	KeyDuplicate KeyReason = "the same key stands here twice"
)

// MalformedError says that a text is no valid token under any key. It holds no
// part of the token.
type MalformedError struct {
	Defect Defect
}

func (e *MalformedError) Error() string { return "malformed token: " + string(e.Defect) }

// Defect is what is wrong with a malformed token, in words for a person.
type Defect string

// The defects of a MalformedError, in the order in which they are looked for.
const (
	DefectAlphabet Defect = "a character that is not URL-safe base64, such as a blank or line break"
	DefectLength   Defect = "not a whole number of base64 groups of four; it was cut, or its padding is missing"
	DefectTail     Defect = "an ending that no base64 encoder writes"
	DefectVersion  Defect = "not of Fernet version 0x80"
	DefectShort    Defect = "shorter than the 73 bytes that every token has"
	DefectBlocks   Defect = "not a whole number of cipher blocks; it was cut or joined"
	// DefectPadding is only ever found under a valid signature: the token's
	// maker has a key and pads wrongly.
	DefectPadding Defect = "signed, but not padded as PKCS #7 says"
)

// NoKeyError says that a token is well-formed and that no key of the keyring
// made it: it is under another key, or it was altered.
type NoKeyError struct {
	// KeyIDs are the ids of the keys that were tried, the primary key's first.
	KeyIDs []string
}

func (e *NoKeyError) Error() string {
	if len(e.KeyIDs) == 0 {
		return "no key opens the token: the keyring is empty"
	}
	return "no key opens the token (tried: " + strings.Join(e.KeyIDs, ", ") + "); it is under another key, or was altered"
}

// AgeError says that a token opens, and that its time is not what
// OpenWithMaxAge was asked for.
type AgeError struct {
	// Time is when the token says it was made.
	Time time.Time
	// MaxAge is what the token was held to.
	MaxAge time.Duration
	// Future says that the token is not too old but from the future.
	Future bool
}

func (e *AgeError) Error() string {
	made := e.Time.Format(time.RFC3339)
	if e.Future {
		return "the token is from the future: made " + made
	}
	return fmt.Sprintf("the token is too old: made %s, more than %v ago", made, e.MaxAge)
}
