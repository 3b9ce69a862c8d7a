// SPDX-License-Identifier: Apache-2.0

package envfile_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
)

const (
	nameKey   = "q7WcVxnCzJYzW0e9hQ5p3mT1uR8aK2dL6sF4gB0iEoM="
	nameToken = "gAAAAABlU_EwMDEyMzQ1Njc4OWFiY2RlZq1yq7WcVxnCzJYzW0e9hQ5p3mT1uR8aK2dL6sF4gB0iEoMq7WcVxnCzJYzW0e9hQ5p3mT1uQ=="
	wrapped1  = "q7WcVxnCzJYzW0e9hQ5p3mT1uR8aK2dL6sF4gB0iEoMq7WcVxnCzJYzW0e9hQ5p3"
	wrapped2  = "mT1uR8aK2dL6sF4gB0iEoM"
)

// A line that is a secret is an error with file and line, and nothing of it.
func TestSecretLinesAreNoNames(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		line int
	}{
		"a key":                             {"A=1\n" + nameKey + "\n", 2},
		"a key, twice":                      {nameKey + "\n" + nameKey + "\n", 1},
		"a key with export":                 {"export " + nameKey + "\n", 1},
		"a key with a value":                {"A=1\n" + nameKey + "x\n", 2},
		"a key with a blank":                {nameKey + " \n", 1},
		"a key in a name":                   {"MY_SECRET_" + nameKey + "\n", 1},
		"a key in the middle of a name":     {"A_" + nameKey[:43] + "_B=x\n", 1},
		"a token":                           {nameToken + "\n", 1},
		"a token in a name":                 {"SECRET_" + nameToken + "\n", 1},
		"the start of a token":              {nameToken[:40] + "=\n", 1},
		"the second of two keys":            {"KEY=" + nameKey + "\nKEY_PREVIOUS=" + nameKey + ",\n" + nameKey + "\n", 3},
		"the rest of a key":                 {"KEY=" + nameKey[:17] + "\n" + nameKey[17:] + "\n", 2},
		"the rest of a key of two":          {"KEY_PREVIOUS=" + nameKey + "," + nameKey[:30] + "\n" + nameKey[30:] + "\n", 2},
		"wrapped base64":                    {"SECRET_A=" + wrapped1 + "\n" + wrapped2 + "==\n", 2},
		"wrapped base64, short":             {"SECRET_A=" + wrapped1 + "\nmT1uR8a=\n", 2},
		"wrapped base64, one sign":          {"SECRET_A=" + wrapped1 + "\n" + wrapped2 + "x=\n", 2},
		"nothing but signs":                 {"short==\n", 1},
		"nothing but three signs":           {"short ===\n", 1},
		"looks like base64, empty":          {"mT1uR8aK2dL6sF4gB0iEoM=\n", 1},
		"looks like base64, empty, comment": {"mT1uR8aK2dL6sF4gB0iEoM=   \n", 1},
		"looks like base64, refused":        {"mT1uR8aK2dL6sF4gB0iEoM=\"open\n", 1},
		"looks like base64, twice":          {"mT1uR8aK2dL6sF4gB0iEoM=a\nmT1uR8aK2dL6sF4gB0iEoM=b\n", 2},
	} {
		_, err := envfile.Parse("x.env", []byte(tc.text))
		var e *envfile.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		said := e.Error() + "\n" + string(e.Way)
		if e.Line != tc.line {
			t.Errorf("%s: line %d, want %d", name, e.Line, tc.line)
		}
		for _, secret := range []string{nameKey, nameToken, wrapped1, wrapped2, "short"} {
			for i := 0; i+5 <= len(secret); i++ {
				if strings.Contains(said, secret[i:i+5]) {
					t.Fatalf("%s: shows %q: %s", name, secret[i:i+5], said)
				}
			}
		}
	}
}

// These are names, although they are long or have no value.
func TestOrdinaryNamesStay(t *testing.T) {
	for _, text := range []string{
		"A=\nB=\"=\"\nC='=='\n", "mT1uR8aK2dL6sF4gB0iEoM=\"\"\n", "mT1uR8aK2dL6sF4gB0iEoM=x\n", "oAuth_2_ClientSecretOfTheApplication=\n",
		"KEY=" + nameKey + "\nNEXT_ONE=\n", "SECRET_A=" + wrapped1 + "\nBAR=\nThe_Next=\n", "A=" + wrapped1 + "\n\nmT1uR8a=\n",
		"A_VERY_LONG_NAME_OF_A_VARIABLE_FOR_THE_TEST_OF_THIS=\n", "springDatasourceHikariMaximumPoolSizeOfTheMainDatabase=10\n",
	} {
		if _, err := envfile.Parse("x.env", []byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What comes from elsewhere, such as a ledger, cannot bring such a name in either.
func TestSecretNamesAreNotWritten(t *testing.T) {
	for _, name := range []string{nameKey[:43], "A_" + nameKey[:43], nameToken[:60]} {
		entry := envfile.Entry{Name: name, Value: envfile.NewValue("x")}
		_, formatErr := envfile.Format([]envfile.Entry{entry})
		_, editErr := envfile.Edit("x.env", nil, envfile.Set(name, "x"))
		for _, err := range []error{formatErr, editErr} {
			if err == nil || strings.Contains(fmt.Sprint(err), name[2:8]) {
				t.Errorf("%v", err)
			}
		}
	}
}

func TestLabelHidesWhatLooksLikeBase64(t *testing.T) {
	for name, want := range map[string]string{"SECRET_A": "SECRET_A", "mT1uR8aK2dL6sF4gB0iEoM": "this entry"} {
		if got := (envfile.Entry{Name: name}).Label(); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
