// SPDX-License-Identifier: Apache-2.0

package decrypt

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ErrNotSealed says that a value is no token and never was one, where only a
// token may be: in a folder, or in a variable that Require names.
var ErrNotSealed = errors.New("not sealed, and it has to be: push it with kubectl fernet, or choose globs that do not match it")

// ErrNoFiles says that a folder has no file to open.
var ErrNoFiles = errors.New("no file to open; is the Secret mounted here, and does a glob match its files?")

// ErrTooLarge says that a file has more than 2 MiB, and that it was not read.
var ErrTooLarge = errors.New("larger than the 2 MiB that are read of a file; a Secret holds 1 MiB")

var errNotRegular = errors.New("not a regular file")

// EntryErrors are all errors of one call, in the order in which the variables and
// files were looked at. errors.As finds the first *EntryError, and what is in it.
// It prints with one line for each.
type EntryErrors []*EntryError

func (e EntryErrors) Error() string {
	lines := make([]string, 0, len(e))
	for _, entry := range e {
		lines = append(lines, entry.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives all errors.
func (e EntryErrors) Unwrap() []error {
	errs := make([]error, 0, len(e))
	for _, entry := range e {
		errs = append(errs, entry)
	}
	return errs
}

// As does what errors.As does of an Unwrap that gives several errors, and did not
// do before Go 1.20.
func (e EntryErrors) As(target interface{}) bool {
	for _, entry := range e {
		if errors.As(entry, target) {
			return true
		}
	}
	return false
}

// Is does the same for errors.Is.
func (e EntryErrors) Is(target error) bool {
	for _, entry := range e {
		if errors.Is(entry, target) {
			return true
		}
	}
	return false
}

// EntryError says which variable of an environment, or which file of a folder,
// an error is about. Err is one of the other errors here, for errors.As, or one of
// the file system.
type EntryError struct {
	// Dir is the folder of a file. It is empty for a variable, for a file of
	// Keyring.FS, and where the error is about a folder, which Name has then.
	Dir  string
	Name string
	Err  error
}

func (e *EntryError) Error() string {
	place := e.Name
	if nearly([]byte(place), DefectVersion) != "" {
		place = "a name that has a token in it"
	}
	if e.Dir != "" {
		place = filepath.Join(e.Dir, place)
	}
	return fmt.Sprintf("%s: %v%s", printable(place), e.Err, e.remedy())
}

// Unwrap gives Err.
func (e *EntryError) Unwrap() error { return e.Err }

// remedy says what to do about a token that does not open; other errors say it
// themselves.
func (e *EntryError) remedy() string {
	var malformed *MalformedError
	var noKey *NoKeyError
	switch {
	case errors.As(e.Err, &noKey):
		return ": add its key to FERNET_KEY_PREVIOUS, push the value again, or exclude what is not ours"
	case !errors.As(e.Err, &malformed):
		return ""
	case malformed.Defect == DefectTwice:
		return "; store the token itself (kubectl create secret encodes by itself)"
	case malformed.Defect == DefectAround || malformed.Defect == DefectInside:
		return "; store the token alone"
	case malformed.Defect == DefectPadding:
		return "; seal the value again"
	}
	return "; store it unchanged, as kubectl fernet push made it"
}

// printable gives a text with what a terminal would obey or hide in it escaped.
func printable(text string) string {
	for _, r := range strings.ToValidUTF8(text, "\x00") {
		if !strconv.IsPrint(r) {
			return strconv.Quote(text)
		}
	}
	return text
}

// within says that an error is about a folder, or about files in it.
func within(dir string, err error) error {
	entries := entriesOf(err)
	if entries == nil {
		return &EntryError{Name: dir, Err: err}
	}
	for _, entry := range entries {
		entry.Dir = dir
	}
	return err
}

// entriesOf gives what an error of this package is made of.
func entriesOf(err error) EntryErrors {
	var entries EntryErrors
	var entry *EntryError
	switch {
	case errors.As(err, &entries):
	case errors.As(err, &entry):
		entries = EntryErrors{entry}
	}
	return entries
}

// NameError says that no variable may have this name, whatever its value is.
type NameError struct {
	Reason NameReason
}

func (e *NameError) Error() string { return string(e.Reason) }

// NameReason is why a name is refused, in words for a person.
type NameReason string

// The reasons of a NameError.
const (
	NameObeyed NameReason = "the loader, a shell or an interpreter obeys a variable of this name, so it is not set to a sealed value unless exactly this name is required or matched"
	NameTaken  NameReason = "the environment has a variable of this name already; rename one of the two"
	NameEquals NameReason = "a variable cannot have this name, with a = in it; rename the file"
)

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
	KeyShort     KeyReason = "it is too short: a Fernet key has 44 characters, for 32 bytes"
	KeyLong      KeyReason = "it is too long: a Fernet key has 44 characters, for 32 bytes"
	KeyStandard  KeyReason = "it is in the standard base64 alphabet; a Fernet key has - for + and _ for /"
	KeyPadding   KeyReason = "it does not end in exactly one ="
	KeyTail      KeyReason = "no encoder writes its last character; it was mistyped or cut"
	KeyZero      KeyReason = "it is all zero"
	KeyPublished KeyReason = "it is published in the Fernet specification, so everybody has it"
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
	// The rest are found in variables and files alone: what is there is all but
	// a token.
	DefectAround Defect = "blanks, line breaks or quotes around it"
	DefectInside Defect = "other text around it"
	DefectTwice  Defect = "encoded in base64 twice"
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
