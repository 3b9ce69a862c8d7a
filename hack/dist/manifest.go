// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"path"
	"text/template"
)

// renderManifest renders .krew.yaml, a template of krew-release-bot, as the bot
// does but with the sums of archives that nobody has downloaded yet: sums holds
// hex SHA-256 by archive name. An archive without one is an error.
func renderManifest(krewYAML []byte, version string, sums map[string]string) ([]byte, error) {
	addURIAndSha := func(uriTemplate, tag string) (string, error) {
		uri, err := expand("uri", uriTemplate, tag, nil)
		if err != nil {
			return "", err
		}
		sum, ok := sums[path.Base(string(uri))]
		if !ok {
			return "", fmt.Errorf("no archive was built for %s", uri)
		}
		// The bot's layout: four blanks, whatever the call's indentation. Quoted,
		// because hex digits can look like a number.
		return fmt.Sprintf("uri: %s\n    sha256: %q", uri, sum), nil
	}
	return expand(".krew.yaml", string(krewYAML), version, template.FuncMap{"addURIAndSha": addURIAndSha})
}

func expand(name, text, tag string, funcs template.FuncMap) ([]byte, error) {
	parsed, err := template.New(name).Funcs(funcs).Parse(text)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, struct{ TagName string }{tag}); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
