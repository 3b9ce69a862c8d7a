// SPDX-License-Identifier: Apache-2.0

package decrypt

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"strings"
)

// prefix begins the text of each token: the version, 0x80, and the first bits of a
// time before the year 141,000.
const prefix = "gAAAA"

// inside finds a token, of any time from 2004 to 2106, in another text: at least
// the 98 characters of the shortest one without its padding. A letter or digit
// before it is part of another word, and a time before 2004 is a run of zeros in
// some binary data. It also finds what base64 makes of that once more.
var inside = regexp.MustCompile(`(?:^|[^A-Za-z0-9])(?:` + prefix + `A[B-D][A-Za-z0-9_-]{91}|Z0FBQUFB[A-Za-z0-9]{122})`)

// nearly says what keeps a text, which is no token, from being the one that it
// was; why is what decode says. It gives "" for what never was a token.
//
// A text that begins as a token, after blanks, quotes and padding around it, is
// all but one if it is longer than a key, so that a cut token is noticed as well.
// Within another text, only a whole token is: in a PEM block or a picture in
// base64, a line may begin as a token by chance.
func nearly(text []byte, why Defect) Defect {
	bare := bytes.TrimFunc(text, isBlankOrQuote)
	core := bytes.Trim(bare, "=")
	begins := bytes.HasPrefix(core, []byte(prefix))
	switch {
	case len(core) <= keyLength:
		return ""
	case begins && len(bare) < len(text):
		return DefectAround
	case begins:
		return why
	}
	// Where something else ends the encoded text, what comes before it counts.
	inner, _ := base64.RawURLEncoding.DecodeString(oneLine.Replace(string(core)))
	switch {
	case nearly(inner, why) != "":
		return DefectTwice
	case inside.Match(core):
		return DefectInside
	}
	return ""
}

// oneLine makes one line of one alphabet of a text in base64.
var oneLine = strings.NewReplacer("+", "-", "/", "_", " ", "", "\t", "")
