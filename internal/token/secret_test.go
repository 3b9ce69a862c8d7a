// SPDX-License-Identifier: Apache-2.0

package token_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// A key is found at any position, with its `=` and without.
func TestKindFindsKeys(t *testing.T) {
	random := rand.New(rand.NewChaCha8(sha256.Sum256([]byte("keys")))) // #nosec G404 -- the same keys each time
	missed, tries := 0, 0
	for range 3000 {
		raw := make([]byte, 32)
		for i := range raw {
			raw[i] = byte(random.Uint32())
		}
		key := base64.URLEncoding.EncodeToString(raw)
		for _, form := range []string{"%s", "MY_SECRET_%s", "%s,%s", "--env=%s", "a/%s/b", " %s ", "x.%s.y", "-n%s", "%sTAIL"} {
			for _, text := range []string{key, strings.TrimSuffix(key, "=")} {
				tries++
				if token.Kind(strings.ReplaceAll(form, "%s", text)) == "" {
					missed++
				}
			}
		}
	}
	if missed*10000 > tries {
		t.Errorf("%d of %d texts with a key were not recognised", missed, tries)
	}
}

func TestKindFindsTokens(t *testing.T) {
	for _, text := range []string{
		"gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==",
		"SECRET_gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0O",
	} {
		if token.Kind(text) != "token" {
			t.Errorf("%s: no token", text)
		}
	}
}

// What people do type is neither.
func TestKindLeavesNamesAndPathsAlone(t *testing.T) {
	for _, text := range []string{
		"", ".env", "SECRET_A", "/home/some-body/projects/my-very-long-project-name-of-the-whole-company/.env",
		"THE_VERY_LONG_NAME_OF_A_VARIABLE_THAT_NOBODY_WANTS_TO_TYPE_1", "gke_my-project-123456_europe-west1-b_my-production-cluster-2",
		"arn:aws:eks:eu-central-1:123456789012:cluster/production-of-the-whole-company",
		"550e8400-e29b-41d4-a716-446655440000-550e8400-e29b-41d4-a716-446655440000", fmt.Sprintf("%x", sha256.Sum256(nil)),
		"TheNameOfAFolderThatSomebodyWroteInCamelCaseWithYear2024", "Backup-Of-The-Production-Cluster-2024-01-15-Version-2",
	} {
		if kind := token.Kind(text); kind != "" {
			t.Errorf("%s: taken for a %s", text, kind)
		}
	}
}

func TestEncoded(t *testing.T) {
	for name, want := range map[string]bool{
		"uYGIyY2M0ZDVlNmY3ODk": true, "a9J-f2kQmZp0LwXy7BvTc3": true,
		"uYGIyY2M0ZDVlNmY3OD": false, "SECRET_STRIPE_LIVE_2": false, "oAuth2_ClientSecretValue": false,
		"spring.datasource2.URL.pool": false, "thisisalllowercaseletters1": false, "": false,
	} {
		if token.Encoded(name) != want {
			t.Errorf("Encoded(%s) is %v", name, !want)
		}
	}
}
