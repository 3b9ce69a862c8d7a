// SPDX-License-Identifier: Apache-2.0

// Package finding is the table of what verify can find: a stable code, a sentence
// and a way out of each. docs/findings.md is made of it.
package finding

import (
	"fmt"
	"strings"
)

// Level says whether a finding is one that a run fails for.
type Level string

// The levels.
const (
	Error   Level = "error"
	Warning Level = "warning"
)

// Code is the stable name of a kind of finding, such as FERNET001.
type Code string

// The codes. A number is never used again.
const (
	Unopened   Code = "FERNET001"
	Misplaced  Code = "FERNET002"
	Binding    Code = "FERNET003"
	OtherBytes Code = "FERNET004"
	PutBack    Code = "FERNET005"
	Missing    Code = "FERNET006"
	Unrecorded Code = "FERNET007"
	Foreign    Code = "FERNET008"
	KeyID      Code = "FERNET009"
	Mutable    Code = "FERNET010"
	Metadata   Code = "FERNET011"
	LedgerRow  Code = "FERNET012"
	TwoTokens  Code = "FERNET013"
	OldKey     Code = "FERNET014"
	Unsigned   Code = "FERNET015"
	Renamed    Code = "FERNET016"
	Future     Code = "FERNET017"
	Incomplete Code = "FERNET018"
	Older      Code = "FERNET020"
	Keyring    Code = "FERNET021"
	Unseen     Code = "FERNET022"
	Broken     Code = "FERNET023"
	EnvMode    Code = "FERNET030"
	EnvTracked Code = "FERNET031"
	EnvVisible Code = "FERNET032"
)

// Kind is what there is to say of a code.
type Kind struct {
	Code     Code
	Level    Level
	Sentence string // what is so, of one object
	WayOut   string // what to do
}

// Table lists all kinds, by code.
var Table = []Kind{
	{Unopened, Error, "No key of the keyring opens its token.", "Get the .env with the key that its label names; if the token was altered, delete the Secret and run `kubectl fernet push` or `kubectl fernet restore`."},
	{Misplaced, Error, "It opens, but it was made for another name or namespace, or is not the whole set that was made: somebody copied, swapped, added or removed something.", "Delete the Secret and run `kubectl fernet push`, and find out who writes Secrets there."},
	{Binding, Error, "Its binding annotation is missing or was edited; the ledger's holds.", "`kubectl annotate --overwrite` it with the binding of the ledger's row."},
	{OtherBytes, Error, "It holds something else than the ledger recorded under its name.", "Merge the ledgers if a colleague has another one; else delete the Secret and run `kubectl fernet restore`."},
	{PutBack, Error, "The ledger says that it was retired, and it is there: an old object was put back.", "`kubectl fernet retire` deletes it again if nothing uses it; else find out who restored it."},
	{Missing, Error, "The ledger says that it was created, and it is not there.", "`kubectl fernet restore` creates it again with the same bytes."},
	{Unrecorded, Error, "This Secret is not recorded in the ledger: the ledger is not the whole one, or rows were removed from it.", "Get the current ledger from git; else `kubectl fernet push` records every generation of what the .env or the ledger has, and `kubectl fernet adopt` a Secret of any other name."},
	{Foreign, Error, "The name of an entry is taken by a Secret that this tool did not make with these keys.", "Get the .env that it is from, take it over with `kubectl fernet adopt`, or rename the entry."},
	{KeyID, Error, "Its key id label, or the ledger's key id, is not that of the key that opens it.", "`kubectl label --overwrite` it with the id that is named here; take the ledger from git if that is wrong."},
	{Mutable, Error, "It is not immutable any more, or was never: its data can change under its name.", "Run `kubectl fernet rotate`: the next generation is immutable; then `kubectl fernet retire` deletes this one."},
	{Metadata, Error, "Its type, labels or annotations are not those that were written.", "`kubectl label` and `kubectl annotate --overwrite` them back, as `kubectl fernet push --dry-run=client -o yaml` prints them."},
	{LedgerRow, Error, "A row of the ledger was edited: it names a key of the keyring as its signer, and that key did not sign it as it stands.", "Take that line from git or a backup, or delete it; until then the key that it names is not dropped."},
	{TwoTokens, Error, "The ledger has two tokens as created under one name.", "Two ledgers were merged after a race, or one was edited; the token that is live is the true one: delete the rows of the other."},
	{OldKey, Warning, "It is under a previous key.", "`kubectl fernet rotate` finishes the rotation."},
	{Unsigned, Warning, "Rows of the ledger are not signed: a restore without a key wrote them, or another program. They prove nothing, and nothing is done because of them.", "`kubectl fernet push` with the key confirms what is in the cluster; then the unsigned rows can be deleted."},
	{Renamed, Error, "It is ours under another name: a prefix or suffix was put around the name that it was made for.", "A transformer such as kustomize's namePrefix or nameSuffix does that: exclude these Secrets from it. Nobody has to have copied it."},
	{Future, Error, "Its token, or its row, says that it was made in the future, so its age means nothing.", "`kubectl fernet push --update` with a new value, or `kubectl fernet rotate` if only the ledger's time is wrong; check the clock of the machine that made it."},
	{Incomplete, Error, "The ledger lacks rows of its entries, so it could not rebuild this bundle.", "Take the rows from git; where the bundle is live, `kubectl fernet push` records its entries again."},
	{Older, Warning, "A workload names an older generation, or was pointed back to one.", "`kubectl fernet rollout`, and change the manifest."},
	{Keyring, Warning, "A keyring of ours is in the cluster: whoever can read Secrets there can open the tokens.", "If you set this up with --key-secret, there is nothing to do. Otherwise delete it and rotate the key."},
	{Unseen, Warning, "Something could not be looked at (list, or get), and so was not verified: the exit code is 2.", "Ask for the rights that `kubectl fernet rbac --for verify` prints."},
	{Broken, Error, "A workload names it, and it is not there: a Pod that starts now does not.", "`kubectl fernet restore` where it was lost, `kubectl fernet rollout` where a newer generation is there; `kubectl fernet status` says which."},
	{EnvMode, Error, "Others can read a file with keys or values.", "`chmod 600` it."},
	{EnvTracked, Error, "A file with keys or values is tracked by git.", "`git rm --cached` it, then `kubectl fernet rotate`, then new values: they are in the history."},
	{EnvVisible, Error, "A file with keys or values is not ignored by git.", "Add it to .gitignore; `kubectl fernet init` does."},
}

// Of gives the kind of a code.
func Of(code Code) Kind {
	for _, k := range Table {
		if k.Code == code {
			return k
		}
	}
	return Kind{Code: code, Level: Error}
}

// Markdown gives the table as a page.
func Markdown() string {
	var b strings.Builder
	b.WriteString("# What verify can find\n\n")
	b.WriteString("Codes are stable: a number is never used for anything else. An error makes `kubectl fernet verify` end with exit code 1; a warning does not. Where something could not be looked at, it is 2.\n")
	for _, k := range Table {
		fmt.Fprintf(&b, "\n## %s (%s)\n\n%s\n\nWay out: %s\n", k.Code, k.Level, k.Sentence, k.WayOut)
	}
	return b.String()
}
