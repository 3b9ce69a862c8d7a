// SPDX-License-Identifier: Apache-2.0

package ledger

// Standing is what a row's mac proves to the holder of a keyring.
type Standing uint8

// The standings of a row. Without a keyring every row counts as evidence.
const (
	Evidence Standing = iota // signed by a key that is held: only this permits anything
	Hint                     // signed, as it says, by a key that is not held: history, or a colleague's, or forged
	Unsigned                 // written without a key
	Edited                   // names a signer that is held, and is not what that key signed
)

// Keys is what a ledger uses of a keyring, which it never sees. The zero value
// stands for no key: rows are written unsigned, and all rows add up together.
type Keys struct {
	// Sign gives the mac of a row from its other thirteen cells. The cells are not
	// kept. Append calls it for one row at a time.
	Sign func(cells []string) (mac string)
	// Verify says what a row's mac proves.
	Verify func(cells []string, mac string) Standing
	// Keep says of a record whose object was deleted whether its token still matters.
	// Without it, all that is kept of deleted objects is what Past has.
	Keep func(Record) bool
}

func (k Keys) standing(row *Row) Standing {
	if k.Verify == nil {
		return Evidence
	}
	return k.Verify(row.Cells(), row.MAC)
}
