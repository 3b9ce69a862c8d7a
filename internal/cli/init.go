// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/gitstate"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

const (
	newFileHead = `# Entries whose names start with SECRET become Kubernetes Secrets:
#   kubectl fernet push --env %s
`
	newFileExamples = `#SECRET_DB_PASSWORD='a value'
#SECRET-API-TOKEN='another value'
`
	ledgerAttribute = action.DefaultLedger + " merge=union -text"
)

func newInit(a *app) *cobra.Command {
	var env string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a .env with a fresh key, or add the key to one",
		Long: `Write a .env with a fresh key, readable by you only. To a .env that has no KEY
yet, what is missing is appended, and every other byte stays; from then on only
its owner can read it. One that has a KEY is left alone. In a git work tree the .env
and the copies that editors make of it are added to .gitignore, and the ledger's
merge rule to .gitattributes.`,
		Example: `  # a .env here
  kubectl fernet init

  # one of another environment, with a key of its own
  kubectl fernet init --env staging/.env`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.init(cmd.Context(), env) },
	}
	cmd.Flags().StringVar(&env, "env", action.DefaultEnv, "the .env file")
	return cmd
}

func (a *app) init(ctx context.Context, env string) error {
	text, key, err := keyring.Generate()
	if err != nil {
		return err
	}
	unlock, err := a.lockFor(env)
	if err != nil {
		return err
	}
	defer unlock()
	old, err := existing(env)
	if err != nil {
		return err
	}
	made, err := a.initialBytes(env, old, text)
	if err != nil {
		return err
	}
	if err := a.gitInit(env); err != nil { // first: a key that git can see is one too many
		return err
	}
	was := exposed(env)
	if err := a.replace(env, old, made); err != nil {
		return err
	}
	did := "created"
	if old != nil {
		did = "completed"
	}
	a.narrowed(env, was)
	a.gitWarning(ctx, env)
	_, err = fmt.Fprintf(a.Out, "%s %s with key %s\nnext: put your secrets into it, then: kubectl fernet push --env %s\n", redact.Visible(env), did, key.ID(), hint.Word(env))
	return err
}

// replace writes a .env that is as it was read, and says what to do if it is not.
func (a *app) replace(env string, old, made []byte) error {
	err := atomicfile.Replace(a.machine.Files, env, old, made)
	if errors.Is(err, atomicfile.ErrChanged) || errors.Is(err, fs.ErrExist) {
		return withHint(fmt.Errorf("%s changed while this run was under way; it was not touched", env), "run the command again")
	}
	return err
}

// exposed gives the mode of a file to which others than its owner have access, 0
// of any other one.
func exposed(path string) fs.FileMode {
	info, err := os.Stat(path)
	if err != nil || !atomicfile.Exposed(info) {
		return 0
	}
	return info.Mode().Perm()
}

// narrowed says of a file that was written what its mode has become.
func (a *app) narrowed(path string, was fs.FileMode) {
	if was != 0 {
		a.console.note("%s was open to others (mode %04o); now only its owner can read it (mode %04o)", path, was, was&0o600)
	}
}

// lockFor takes the lock that guards a .env, and removes what a killed run left
// of its next content.
func (a *app) lockFor(env string) (unlock func(), err error) {
	if _, err := os.Stat(filepath.Dir(env)); err != nil {
		return nil, withHint(fmt.Errorf("%s: its folder does not exist", env), "mkdir -p %s", filepath.Dir(env))
	}
	guard, err := ledger.Lock(filepath.Join(filepath.Dir(env), action.DefaultLedger))
	if err != nil {
		return nil, err
	}
	_, err = atomicfile.CleanLeftover(a.machine.Files, env)
	if errors.Is(err, atomicfile.ErrDangling) { // reading it says so better
		err = nil
	}
	return func() { _ = guard.Unlock() }, err
}

// existing gives the bytes of a .env that has no KEY yet, nil where there is
// none; an empty file counts as one that is there.
func existing(env string) ([]byte, error) {
	file, raw, err := envfile.ReadFile(env)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !isLink(env):
		return nil, nil
	case errors.Is(err, envfile.ErrEmpty):
		return []byte{}, nil
	case err != nil:
		return nil, err
	}
	for _, name := range []string{keyring.VarKey, keyring.VarPrevious, keyring.VarNext} {
		if e, ok := file.Lookup(name); ok {
			return nil, withHint(fmt.Errorf("%s:%d: it has a %s already; nothing was written", env, e.Line, name), "kubectl fernet push --env %s", env)
		}
	}
	return raw, nil
}

func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}

// initialBytes gives the whole new content of the file.
func (a *app) initialBytes(env string, old []byte, key string) ([]byte, error) {
	name, known := a.currentContext()
	if len(old) == 0 {
		text := fmt.Sprintf(newFileHead, env) + "KEY=" + key + "\n"
		switch quoted, err := envfile.Quote(name); {
		case err != nil:
			return nil, err
		case known:
			text += action.VarCluster + "=" + quoted + "\n"
		default:
			text += "#" + action.VarCluster + "=the name of a context in your kubeconfig\n"
		}
		return []byte(text + newFileExamples), nil
	}
	changes := []envfile.Change{envfile.Set(keyring.VarKey, key)}
	if file, err := envfile.Parse(env, old); err != nil {
		return nil, err
	} else if _, has := file.Lookup(action.VarCluster); !has && known {
		changes = append(changes, envfile.Set(action.VarCluster, name))
	}
	made, err := envfile.Edit(env, old, changes...)
	if err == nil && !bytes.HasSuffix(made, []byte("\n")) {
		made = append(made, '\n') // or the next line that somebody appends would be CLUSTER_NAME's
	}
	return made, err
}

func (a *app) currentContext() (name string, ok bool) {
	kubeconfig, err := a.connect.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return "", false
	}
	if name = *a.connect.Context; name == "" {
		name = kubeconfig.CurrentContext
	}
	return name, kubeconfig.Contexts[name] != nil
}

// gitInit keeps the .env, what editors make of it, its temporary file and the
// ledger's lock out of git, and lets git merge ledgers as what they are: sets of
// lines.
func (a *app) gitInit(env string) error {
	if !gitstate.InWorkTree(env) {
		return nil
	}
	dir := filepath.Dir(env)
	ignored := append(ignoreLines(filepath.Base(env)), "*"+atomicfile.Suffix, action.DefaultLedger+ledger.LockSuffix)
	if err := a.addLines(filepath.Join(dir, ".gitignore"), ignored); err != nil {
		return err
	}
	return a.addLines(filepath.Join(dir, ".gitattributes"), []string{ledgerAttribute})
}

// ignoreLines gives the lines of .gitignore for a file that holds secrets: its name,
// and those of the copies that vim, Emacs, nano and people make beside it.
func ignoreLines(name string) []string {
	swap := name // vim hides its swap files, as this one may be already
	if !strings.HasPrefix(name, ".") {
		swap = "." + name
	}
	lines := []string{name, name + "~", name + ".bak", name + ".orig", name + ".save", swap + ".swp", swap + ".swo", "#" + name + "#", ".#" + name}
	for i, line := range lines {
		lines[i] = ignoreLine(line)
	}
	return lines
}

var ignoreSpecial = regexp.MustCompile(`^[#!]|[\\*?\[ ]`)

// ignoreLine writes a file name so that .gitignore takes it literally.
func ignoreLine(name string) string { return ignoreSpecial.ReplaceAllString(name, `\$0`) }

// addLines appends those lines that a file does not have; no other byte changes.
func (a *app) addLines(path string, lines []string) error {
	old, err := atomicfile.Read(a.machine.Files, path, envfile.MaxSize)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	have := map[string]bool{}
	for _, line := range strings.Split(string(old), "\n") {
		have[strings.TrimSpace(line)] = true
	}
	made := bytes.Clone(old)
	if len(made) > 0 && !bytes.HasSuffix(made, []byte("\n")) {
		made = append(made, '\n')
	}
	before := len(made)
	for _, line := range lines {
		if !have[line] {
			made = append(made, line+"\n"...)
		}
	}
	switch {
	case len(made) == before:
		return nil
	case old == nil:
		return atomicfile.Create(a.machine.Files, path, made, 0o644)
	default:
		return atomicfile.ReplacePublic(a.machine.Files, path, old, made)
	}
}

// gitWarning warns where git has, or could get, a file that holds secrets.
func (a *app) gitWarning(ctx context.Context, env string) {
	if text := action.GitWarning(ctx, env); text != "" {
		a.console.warn("%s", text)
	}
}
