// SPDX-License-Identifier: Apache-2.0

// Package decrypt opens Fernet tokens. An application imports it to read the
// secrets that kubectl fernet put into a cluster; it opens the tokens of any
// other Fernet implementation as well.
//
//	ring, err := decrypt.KeysFromEnviron(os.Environ())
//	...
//	secrets, err := ring.Dir("/etc/secrets")
//	...
//	if old := secrets.Previous(); len(old) > 0 {
//		log.Printf("still under a previous key: %v", old)
//	}
//	password := secrets["SECRET-DB-PASSWORD"].Plaintext
//
// The module brings one other into an application, and only its tests use that.
//
// # Keys
//
// A key is the 44 characters that Fernet.generate_key of Python's cryptography
// or kubectl fernet keygen print: canonical URL-safe base64, with padding, of
// 32 bytes. Everything else is refused with a [KeyError] whose reason says what
// the text looks like instead. So are 32 zero bytes and the key that the Fernet
// specification publishes.
//
// [ParseKeys] takes keys as texts. [KeysFromEnviron] finds them in the variables
// FERNET_KEY and FERNET_KEY_PREVIOUS, [KeysFromDir] in files of these names in a
// folder, such as a mounted Secret, and [KeysFromFile] in one file.
//
// A key has an id, such as kab12cd34. It is derived from the key and safe to
// print, to log and to commit: it helps a person to find the right key and
// proves nothing. A [Keyring] prints as its ids, never as its keys.
//
// # Rotation
//
// While keys are rotated, some tokens are still under the old key: a pod that
// restarts in the middle finds either. A keyring therefore takes previous keys
// behind the primary one, and all of them open. Give an application both keys
// before the first token under the new one reaches it, and take the old key away
// when nothing needs it any more.
//
// When that is, [Secrets.Previous] and [Result] say: a previous key was used.
// From inside an application that is the only trustworthy sign that the old key
// is still needed; log it, or make a metric of it, and drop the old key when it
// has stopped everywhere.
//
// # Secrets of a pod
//
// Mounted files are the better way: an environment is inherited by every child
// process, and shells drop variables with a - in their names. [Keyring.Dir]
// reads a folder in which Secrets are mounted, alone or several in one projected
// volume, all files as of the same moment. [Keyring.FS] does so for any fs.FS.
// Every file but those of the keys must be a token that opens; globs narrow this to
// some names. A folder with no file to open is an error, [ErrNoFiles].
//
// [Keyring.Environ] opens tokens among the variables of an environment: every
// value that is a token, whatever the name of its variable. Values that never
// were tokens stay as they are, because an environment belongs to many.
//
// A Secret with several tokens, which kubectl fernet calls a bundle, is read like several
// with one each: a data key is the name of the entry, so it is the name of the file, and
// with envFrom that of the variable.
//
// No application gets a token in place of a value. In a folder and in an environment, what
// does not open is an error, and so is what is all but a token: it was cut, is in
// quotes, has blanks around it or one more layer of base64, or is part of another
// text, such as a URL. An [EntryErrors] names all variables and files at once, says
// what is wrong with each, and what to do. With [Skip], Environ passes over an
// application's own Fernet tokens.
//
// Who can write to a Secret but has no key cannot seal a value, but can put a plain
// one in the place of a token. In a folder that is an error; in an environment it
// is one where [Require] names the variable, so name all that must be sealed. Who
// can write to a Secret that a pod takes with envFrom can also add variables,
// FERNET_KEY_PREVIOUS and LD_PRELOAD among them: name each variable in the pod
// instead, or mount the Secret. (A variable that decides what code runs is not set
// to an opened value, unless it is required by its exact name.)
//
// A program that cannot be changed is started by the command fernet-exec, in
// cmd/fernet-exec of this module: it gets the plaintexts in its environment, or in
// files.
//
// # Other languages
//
// Tokens are plain Fernet. What kubectl fernet writes is opened by Python's
// cryptography, by npm's fernet and by any other implementation of
// https://github.com/fernet/spec, and this package opens what these write,
// unless it breaks a rule of the next section. Several keys are what MultiFernet
// is in Python.
//
// # What is refused
//
// A token must be exactly what an encoder writes: canonical URL-safe base64
// with padding and nothing around it (no line break, no blank), version 0x80,
// at least 73 bytes, whole cipher blocks, a valid signature and exact PKCS #7
// padding. There is then one text for each token, so that tokens can be
// compared as texts, and a token that was damaged, joined or pasted with
// something is noticed where that happened. Whatever breaks these rules is a
// [MalformedError]; a token whose signature fits none of the keys is a
// [NoKeyError]. Where the token has a name, an [EntryError] around these has it.
//
// Two things are accepted that are less strict, where they must be: a variable or a mounted
// file may end in one line break, and [Keyring.WithDoubleBase64] looks beneath a
// second layer of base64.
//
// A token's age is not checked: a stored secret has no time to live. For tokens
// that are messages there is [Keyring.OpenWithMaxAge] and its [AgeError].
//
// Fernet does not bind a token to a name: who can write to Secrets can put one
// valid token in the place of another, or an old one back. An application cannot
// notice; kubectl fernet keeps a binding beside the token for that.
//
// # How it is made
//
// A token is decoded once, strictly, and opened with the standard library's
// HMAC-SHA256 and AES-CBC. github.com/fernet/fernet-go is not called: it takes
// more than the rules above allow, panics on some signed tokens, does not tell
// a wrong key from broken padding, and decodes the text again for each key. The
// tests hold this package to it instead: both open every token that this
// package accepts, to the same bytes.
//
// The package keeps no global state, logs nothing, does not panic on any input,
// and puts no part of a key, token or plaintext into an error. A Keyring may be
// used by several goroutines at once.
package decrypt
