// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

func newInit(a *app) *cobra.Command {
	o := &initOptions{}
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a .env with a key, or add the key to yours",
		Long: `Make a .env with a fresh key, readable by you only; or add a key and settings to
the .env that you have. Every other byte of it stays.

A KEY that is there is left alone. In a git work tree the .env
and the copies that editors make of it are added to .gitignore, and the ledger's
merge rule to .gitattributes.

The flags beside --env are written as settings, so that every verb and everybody who
has the file means the same; they are added to a .env that has a KEY too.`,
		Example: `  # a .env here
  kubectl fernet init

  # one of another environment, with a key of its own
  kubectl fernet init --env staging/.env

  # all entries of the .env that is here, in the namespace production
  kubectl fernet init --match '*' -n production`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.init(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.env, "env", action.DefaultEnv, "the .env file")
	f.StringSliceVar(&o.namespaces, "namespaces", nil, "several namespaces, comma-separated, instead of -n; as FERNET_NAMESPACE")
	f.StringArrayVar(&o.match, "match", nil, "which entries are secrets: a glob over their names, repeatable; as FERNET_MATCH")
	f.StringVar(&o.bundle, "bundle", "", "the name of one Secret for all entries, or . for the folder's name; as FERNET_BUNDLE")
	f.StringVar(&o.keySecret, "key-secret", "", "the name of a Secret in which push keeps the keyring; as FERNET_KEY_SECRET")
	return cmd
}

// initOptions say which settings init writes.
type initOptions struct {
	env, bundle, keySecret string
	namespaces, match      []string
}

// settings checks what the flags ask for.
func (o *initOptions) settings(namespace string) (s action.Settings, err error) {
	switch {
	case namespace != "" && len(o.namespaces) > 0:
		return s, errors.New("-n and --namespaces exclude each other")
	case namespace != "":
		o.namespaces = []string{namespace}
	}
	bundle := o.bundle
	if bundle == "." {
		if bundle, err = action.FolderName(o.env); err != nil {
			return s, err
		}
	}
	return action.NewSettings(o.namespaces, o.match, bundle, o.keySecret)
}

func (a *app) init(ctx context.Context, o *initOptions) error {
	name, known := a.currentContext()
	if !known {
		name = ""
	}
	settings, err := o.settings(*a.connect.Namespace)
	if err != nil {
		return err
	}
	verb := action.Init{Env: o.env, Cluster: name, Settings: settings}
	done, err := verb.Run(a.machine)
	if err != nil {
		return err
	}
	a.narrowed(o.env, done.Opened)
	a.gitWarning(ctx, o.env)
	return a.reportInit(o.env, done, verb.Writes())
}

// reportInit prints what was written; settings says whether there were some to write.
func (a *app) reportInit(env string, done action.Initialised, settings bool) error {
	text := redact.Visible(env) + " completed"
	if done.Created {
		text = redact.Visible(env) + " created"
	}
	if done.Key != "" {
		text += " with key " + done.Key
	}
	if settings && len(done.Wrote) > 0 {
		text += "\nwrote " + strings.Join(done.Wrote, ", ")
	} else if settings {
		text = redact.Visible(env) + " has all of this already"
	}
	_, err := fmt.Fprintf(a.Out, "%s\n%s\n", text, afterInit(env, done))
	return err
}

// afterInit says what to type next, by what is in the file.
func afterInit(env string, done action.Initialised) hint.Text {
	push := hint.Format("kubectl fernet push%s", action.EnvFlag(env))
	all := hint.Format("kubectl fernet init%s --match '*'", action.EnvFlag(env))
	count := hint.Text(fmt.Sprintf("%d of %s match %s\nnext: ", done.Chosen, hint.Count(done.Entries, "entry"), redact.Visible(strings.Join(done.Match, ","))))
	switch {
	case done.Entries == 0:
		return "next: put your secrets into it, then: " + push
	case done.Chosen == 0:
		return count + all + " takes all of them, then: " + push
	case done.Chosen < done.Entries:
		return count + push + "; or first, to take all of them: " + all
	default:
		return count + push
	}
}

// narrowed says of a file that was written what its mode has become.
func (a *app) narrowed(path string, was fs.FileMode) {
	if was != 0 {
		a.console.note("%s was open to others (mode %04o); now only its owner can read it (mode %04o)", path, was, was&0o600)
	}
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

// gitWarning warns where git has, or could get, a file that holds secrets.
func (a *app) gitWarning(ctx context.Context, env string) {
	if text := action.GitWarning(ctx, env); text != "" {
		a.console.warn("%s", text)
	}
}
