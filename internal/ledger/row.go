// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"encoding/base64"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// Operation is the verb that wrote a row.
type Operation string

// The operations.
const (
	Push    Operation = "push"
	Rotate  Operation = "rotate"
	Retire  Operation = "retire"
	Restore Operation = "restore"
	Adopt   Operation = "adopt"
	Learn   Operation = "learn" // found in the cluster, proven ours, and not in the ledger
)

// State is what a row says of its object.
type State string

// The states, in the order in which the fold ranks them.
const (
	Planned State = "planned" // about to be requested
	Failed  State = "failed"  // refused or never sent, and then seen to be absent
	Created State = "created"
	Deleted State = "deleted"
)

var rank = map[State]int{Planned: 1, Failed: 2, Created: 3, Deleted: 4}

// Row is one line of the ledger. The order of the fields is that of the columns.
//
// A bundle has one planned row for each of its entries. Every other row of it is about
// the whole: it has neither EnvKey nor Token in the file. A Row that is handed to Append
// has no EnvKey for a bundle, and the text of all tokens; Append writes the rows of its
// entries where the ledger lacks one.
type Row struct {
	Time       time.Time `csv:"time"` // UTC, whole seconds
	Operation  Operation `csv:"operation"`
	State      State     `csv:"state"`
	Cluster    string    `csv:"cluster"`
	Namespace  string    `csv:"namespace"`
	Secret     string    `csv:"secret"`
	Generation int       `csv:"generation"` // from 1
	EnvKey     string    `csv:"env_key"`
	KeyID      string    `csv:"key_id"`
	Token      string    `csv:"token"`
	Binding    string    `csv:"binding"` // may be empty
	UID        string    `csv:"uid"`     // empty until known; never with Created and Deleted
	Since      int       `csv:"since"`   // a generation that had this very value, from 1 to Generation
	MAC        string    `csv:"mac"`     // by which the row proves who wrote it; empty in rows written without a key

	Line int `csv:"-"` // in the file, from 1; 0 for a row that was not read from one
}

// Bundle says whether the row is about a whole bundle.
func (r *Row) Bundle() bool { return r.EnvKey == "" }

// Placed gives the row's token in its place.
func (r *Row) Placed() token.Token {
	return token.Token{Namespace: r.Namespace, Secret: r.Secret, EnvKey: r.EnvKey, Token: r.Token, Binding: r.Binding}
}

// Cells gives the cells that a mac is made over: all but the last, as they stand in the file.
func (r *Row) Cells() []string {
	return []string{
		r.Time.Format(time.RFC3339), string(r.Operation), string(r.State), r.Cluster, r.Namespace, r.Secret, strconv.Itoa(r.Generation),
		r.EnvKey, r.KeyID, r.Token, r.Binding, r.UID, strconv.Itoa(r.Since),
	}
}

// The columns by position.
const (
	colTime = iota
	colOperation
	colState
	colCluster
	colNamespace
	colSecret
	colGeneration
	colEnvKey
	colKeyID
	colToken
	colBinding
	colUID
	colSince
	colMAC
	columnCount
)

// columns are the names of the header line, exact and in order.
var columns = []string{"time", "operation", "state", "cluster", "namespace", "secret", "generation", "env_key", "key_id", "token", "binding", "uid", "since", "mac"}

var headerLine = strings.Join(columns, ",") + "\n"

// rules says of each column, in order, what is wrong with a cell; "" is nothing.
var rules = [columnCount]func(cell string) string{
	checkTime, checkOperation, checkState, checkCluster, checkNamespace, checkSecret,
	checkGeneration, checkEnvKey, checkKeyID, checkToken, checkBinding, checkUID,
	checkGeneration, checkMAC,
}

// cellError is what is wrong with one cell of a row. It never holds any text of it.
type cellError struct{ column, problem string }

func (e *cellError) Error() string { return e.column + ": " + e.problem }

// checkCells holds a row, read or about to be written, against every rule.
func checkCells(cells []string) error {
	if len(cells) != columnCount {
		return &cellError{"fields", "not " + strconv.Itoa(columnCount)}
	}
	if err := checkEach(cells); err != nil {
		return err
	}
	if err := checkKind(cells); err != nil {
		return err
	}
	n, _ := strconv.Atoi(cells[colGeneration])
	base, generation := names.Split(cells[colSecret])
	name := names.Secret
	if token.Bundled(cells[colBinding]) {
		name = names.Numbered
	}
	if generation != n || name(base, n) != cells[colSecret] {
		return &cellError{columns[colGeneration], "does not fit the Secret's name"}
	}
	if since, _ := strconv.Atoi(cells[colSince]); since > n {
		return &cellError{columns[colSince], "is a later generation than the row's own"}
	}
	if s := State(cells[colState]); cells[colUID] == "" && (s == Created || s == Deleted) {
		return &cellError{columns[colUID], "is empty, but the state is " + string(s)}
	}
	return nil
}

// checkKind holds a row against the rules of what it is about: one entry, or a bundle,
// which its binding says.
func checkKind(cells []string) error {
	entry, value := cells[colEnvKey] != "", cells[colToken] != ""
	switch bundle := token.Bundled(cells[colBinding]); {
	case !entry && (!bundle || value):
		return &cellError{columns[colEnvKey], notAnEntry}
	case entry && !value:
		return &cellError{columns[colToken], notAToken}
	case bundle && entry && State(cells[colState]) != Planned:
		return &cellError{columns[colEnvKey], "is not empty, but the row is about a whole bundle"}
	}
	return nil
}

// checkEach holds the first cells of a row, up to all, against their own rules.
func checkEach(cells []string) error {
	for i, cell := range cells {
		if problem := rules[i](cell); problem != "" {
			if formula(cell) {
				problem = isFormula
			}
			return &cellError{columns[i], problem}
		}
	}
	return nil
}

// formula says whether a spreadsheet would compute the cell instead of showing it.
func formula(cell string) bool { return cell != "" && strings.IndexByte("=+-@\t\r", cell[0]) >= 0 }

const (
	isFormula   = "begins like a spreadsheet's formula"
	spreadsheet = " (changed by a spreadsheet?)"

	notAnEntry = "not a name of an .env entry"
	notAToken  = "not a whole Fernet token (cut, or changed by a spreadsheet?)" // #nosec G101 -- a message

	maxCluster = 1 << 10 // bytes
	maxToken   = 1 << 20 // bytes; a Secret holds no more
)

func checkTime(cell string) string {
	t, err := time.Parse(time.RFC3339, cell)
	switch {
	case err != nil || t.UTC().Truncate(time.Second).Format(time.RFC3339) != cell:
		return "not a time such as 2006-01-02T15:04:05Z" + spreadsheet
	case t.IsZero():
		return "not set"
	}
	return ""
}

func checkOperation(cell string) string {
	switch Operation(cell) {
	case Push, Rotate, Retire, Restore, Adopt, Learn:
		return ""
	}
	return "not an operation (written by a newer version?)"
}

func checkState(cell string) string {
	if rank[State(cell)] == 0 {
		return "not a state (written by a newer version?)"
	}
	return ""
}

// checkCluster takes whatever a kubeconfig may have as a name, if it stays what
// it is in one cell of one line.
func checkCluster(cell string) string {
	switch {
	case cell == "":
		return "is empty"
	case len(cell) > maxCluster:
		return "longer than " + strconv.Itoa(maxCluster) + " bytes"
	case formula(cell):
		return isFormula
	case !utf8.ValidString(cell) || strings.ContainsFunc(cell, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "has characters that cannot be printed"
	}
	return ""
}

func checkNamespace(cell string) string {
	if !names.Label(cell) {
		return "not a namespace's name"
	}
	return ""
}

func checkSecret(cell string) string {
	if !names.Subdomain(cell) {
		return "not a Secret's name"
	}
	return ""
}

func checkGeneration(cell string) string {
	if n, err := strconv.Atoi(cell); err != nil || n < 1 || strconv.Itoa(n) != cell {
		return "not a whole number from 1" + spreadsheet
	}
	return ""
}

var envKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,252}$`)

// EntryName says whether a text can be the name of an .env entry.
func EntryName(text string) bool { return envKey.MatchString(text) }

func checkEnvKey(cell string) string {
	if cell != "" && !EntryName(cell) {
		return notAnEntry
	}
	return ""
}

func checkKeyID(cell string) string {
	if len(cell) != 9 || cell[0] != 'k' || !hex(cell[1:]) {
		return "not a key id" + spreadsheet
	}
	return ""
}

func checkToken(cell string) string {
	if cell == "" {
		return ""
	}
	if _, err := token.Parse(cell); err != nil || len(cell) > maxToken {
		return notAToken
	}
	return ""
}

const bindingPrefix = "v1:"

func checkBinding(cell string) string {
	if cell == "" {
		return ""
	}
	prefix := bindingPrefix
	if n, ok := token.BundleSize(cell); ok {
		prefix = token.BundleBinding + strconv.Itoa(n) + ":"
	}
	mac, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimPrefix(cell, prefix))
	if err != nil || len(mac) != 32 || cell != prefix+base64.RawURLEncoding.EncodeToString(mac) {
		return "not a binding (cut, or written by a newer version?)"
	}
	return ""
}

// checkUID is strict about the form that every API server gives, so that a row
// whose last cell was cut is not taken for a whole one.
func checkUID(cell string) string {
	if cell == "" {
		return ""
	}
	parts := strings.Split(cell, "-")
	for i, size := range []int{8, 4, 4, 4, 12} {
		if len(parts) != 5 || len(parts[i]) != size || !hex(parts[i]) {
			return "not a UID"
		}
	}
	return ""
}

const macPrefix = "v1:"

// checkMAC knows the form of a mac: its version, the signer's key id, and 16
// bytes as unpadded URL-safe base64.
func checkMAC(cell string) string {
	if cell == "" {
		return ""
	}
	signer, sum, _ := strings.Cut(strings.TrimPrefix(cell, macPrefix), ":")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sum)
	if err != nil || len(raw) != 16 || checkKeyID(signer) != "" || cell != macPrefix+signer+":"+base64.RawURLEncoding.EncodeToString(raw) {
		return "not a mac (cut, or written by a newer version?)"
	}
	return ""
}

func hex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}
