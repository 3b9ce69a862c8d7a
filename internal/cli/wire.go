// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/resource"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

const wireLong = `Add to a workload what its pod template lacks of the current Secrets and of the
keyring. Nothing is removed; a second run changes nothing.

The template gets an envFrom line for each Secret of this .env, and one for
the keyring that FERNET_KEY_SECRET names; with --mount-path all of them are files
in one folder.

The patch is asked as a dry run first, then for your yes, and then it is waited
for. The same lines are printed for the manifest, since else its next apply takes
them away. What Argo CD, Flux, Helm or a controller keep is only shown.

--exec is for a program that cannot open tokens: fernet-exec starts it with the
opened values. An init container brings it into the pod, from the image of
--exec-image; with --exec-volume the image itself is mounted. The command of the
image is not in the API; where the manifest names none either, give it after --.

--local -f reads manifests, asks no cluster, and prints them with what they lack.`

const wireExample = `  # two envFrom lines: the Secret of all entries, and the keyring
  kubectl fernet wire deployment/web

  # as files, in one container of several
  kubectl fernet wire statefulset/db -c postgres --mount-path /etc/fernet

  # a program that cannot open tokens
  kubectl fernet wire deploy/old --exec --exec-image example.com/exec:1 -- /app

  # the manifest instead of the cluster
  kubectl fernet wire --local -f web.yaml > wired.yaml`

// wireOptions is a wire as the flags ask for it.
type wireOptions struct {
	workOptions
	workloads          []string // TYPE/NAME
	containers         []string
	mountPath          string
	exec, execVolume   bool
	execImage          string
	command            []string
	local, recursive   bool
	files              []string
	kustomize, keyring string
	workloadTimeout    time.Duration
	noWait, yes        bool
	print              *printOptions
}

// newWire makes the verb; run is a.wire, or what a test puts in its place.
func newWire(a *app, run func(context.Context, *wireOptions) error) *cobra.Command {
	o := &wireOptions{print: newPrintOptions()}
	cmd := &cobra.Command{
		Use: "wire TYPE/NAME... [flags] [-- COMMAND [ARG...]]",

		DisableFlagsInUseLine: true,

		Short:   "Give a workload the Secrets and the key it lacks",
		Long:    wireLong,
		Example: wireExample,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.complete()
			if dash := cmd.ArgsLenAtDash(); dash >= 0 {
				args, o.command = args[:dash], args[dash:]
			}
			o.workloads = args
			if err := o.validate(*a.connect.Namespace); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	o.workOptions.addFlags(f)
	o.keySecretFlag(f, "the name of the keyring Secret")
	f.StringArrayVarP(&o.containers, "container", "c", nil, "a container, or a glob over their names; repeatable")
	f.StringVar(&o.mountPath, "mount-path", "", "as files of this folder, instead of the environment")
	f.BoolVar(&o.exec, "exec", false, "put fernet-exec before the command")
	f.StringVar(&o.execImage, "exec-image", "", "the image that has fernet-exec")
	f.BoolVar(&o.execVolume, "exec-volume", false, "mount that image, instead of an init container that copies from it")
	f.BoolVar(&o.local, "local", false, "change the manifests of -f instead of the cluster")
	f.StringSliceVarP(&o.files, "filename", "f", nil, "with --local: manifests; a file, a folder, a URL, or - for stdin")
	f.BoolVarP(&o.recursive, "recursive", "R", false, "with -f: also in the folders below")
	f.StringVarP(&o.kustomize, "kustomize", "k", "", "with --local: a kustomization folder")
	f.StringVar(&o.keyring, "keyring", "", "with --local: the keyring Secret to name, with its generation")
	f.DurationVar(&o.workloadTimeout, "workload-timeout", 0, "how long a rollout may make no progress (default: its own progressDeadlineSeconds, or 10m)")
	f.BoolVar(&o.noWait, "no-wait", false, "patch, and do not wait for the rollout")
	f.BoolVar(&o.yes, "yes", false, "do not ask")
	o.print.addFlags(cmd)
	markDetail(f, "recursive", "kustomize", "keyring", "workload-timeout", "no-wait")
	return cmd
}

func (o *wireOptions) validate(namespace string) error {
	manifests := len(o.files) > 0 || o.kustomize != ""
	switch {
	case o.local && !manifests:
		return withHint(errors.New("--local changes manifests, and none is named"), "kubectl fernet wire --local -f web.yaml")
	case !o.local && (manifests || o.keyring != ""):
		return errors.New("-f, -k and --keyring go with --local")
	case !o.local && len(o.workloads) == 0:
		return withHint(errors.New("which workload? it is named as TYPE/NAME"), "kubectl fernet wire deployment/web")
	case !o.exec && (o.execImage != "" || o.execVolume || len(o.command) > 0):
		return errors.New("--exec-image, --exec-volume and a command after -- go with --exec")
	case o.execVolume && o.execImage == "":
		return errors.New("--exec-volume mounts the image that --exec-image names")
	case o.workloadTimeout < 0:
		return errors.New("--workload-timeout must be longer than nothing")
	}
	if o.mountPath != "" && (!path.IsAbs(o.mountPath) || path.Clean(o.mountPath) == "/" || strings.Contains(o.mountPath, ":")) {
		return errors.New("--mount-path is no folder of a container: it begins with a /, is not / itself, and has no colon")
	}
	for _, glob := range o.containers {
		if _, err := path.Match(glob, ""); err != nil || glob == "" {
			return errors.New("-c is no name of a container, and no valid glob")
		}
	}
	if o.keyring != "" && !action.IsGeneration(o.keyring) {
		return withHint(errors.New("--keyring names a Secret with its generation"), "such as fernet-key-g2")
	}
	for i, name := range o.workloads {
		full, ok := action.ParseWorkload(name)
		if !ok {
			return withHint(errors.New("a workload is named as TYPE/NAME"), "such as deployment/web, sts/db, ds/agent or cronjob/tick")
		}
		o.workloads[i] = full
	}
	if name := duplicate(o.workloads); name != "" {
		return fmt.Errorf("%s is named twice", name)
	}
	if err := o.print.validate(); err != nil {
		return err
	}
	return o.workOptions.validate(namespace)
}

// verb is what the flags ask for.
func (o *wireOptions) verb() action.Wire {
	v := action.Wire{Workloads: o.workloads, Containers: o.containers, MountPath: o.mountPath, WorkloadTimeout: o.workloadTimeout, NoWait: o.noWait}
	if o.exec {
		v.Exec = &action.Exec{Image: o.execImage, Volume: o.execVolume, Command: o.command}
	}
	return v
}

// wire shows what is missing, asks, patches, waits and reports.
func (a *app) wire(ctx context.Context, o *wireOptions) error {
	if o.local {
		return a.wireManifests(ctx, o)
	}
	o.output = *o.print.flags.OutputFormat // its objects stand alone on stdout
	verb := o.verb()
	s, err := a.open(ctx, o.workOptions, verb.Needs())
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Start(); err != nil {
		return err
	}
	p, err := verb.Plan(ctx, s)
	if err != nil {
		return err
	}
	for _, step := range p.Steps {
		if err := a.showFragment(step, p.Fragment(step)); err != nil {
			return err
		}
	}
	if n := p.Patches(); n > 0 && s.Mode == action.Live {
		if err := a.confirm(ctx, o.yes, fmt.Sprintf("patch %s in %s and restart its pods?", hint.Count(n, "workload"), s.Target.Places())); err != nil {
			return err
		}
	}
	if err := p.Apply(ctx); err != nil {
		return err
	}
	err = a.afterRollout(ctx, s, &p.RolloutPlan)
	if o.print.wanted() {
		objects, printErr := p.Objects()
		if printErr == nil {
			printErr = o.print.objects(a.product, objects)
		}
		if printErr != nil {
			return printErr
		}
	}
	if err == nil && p.Older() {
		return errFindings
	}
	return err
}

// showFragment prints what a workload lacks, to be put into its manifest.
func (a *app) showFragment(step *action.Step, fragment map[string]any) error {
	if fragment == nil {
		return nil
	}
	text, err := yaml.Marshal(fragment)
	if err != nil {
		return err
	}
	where := "its manifest needs it too, or the next apply takes it away"
	switch {
	case step.State == plan.Left:
		where = "it is kept by " + step.Keeper() + ": put it into its source"
	case step.State == plan.ByHand:
		where = "it cannot be patched: " + step.Reason
	}
	a.console.say(fmt.Sprintf("%s lacks this; %s:", step, where))
	for line := range strings.Lines(string(text)) {
		a.console.say("  " + strings.TrimSuffix(line, "\n"))
	}
	return nil
}

// wireManifests prints manifests with what they lack.
func (a *app) wireManifests(ctx context.Context, o *wireOptions) error {
	objects, err := a.manifests(o)
	if err != nil {
		return err
	}
	verb := o.verb()
	s, err := a.open(ctx, o.workOptions, verb.ManifestNeeds())
	if err != nil {
		return err
	}
	defer s.Close()
	list, err := verb.Manifests(s, objects, o.keyring)
	if err != nil {
		return err
	}
	if !o.print.wanted() {
		*o.print.flags.OutputFormat = "yaml"
	}
	printed, changed, older := make([]runtime.Object, len(list)), 0, false
	for i, m := range list {
		printed[i] = m.Unstructured
		older = older || m.Older
		if m.Changed {
			changed++
		}
	}
	if err := o.print.objects(a.product, printed); err != nil {
		return err
	}
	a.console.print(fmt.Sprintf("%s changed, %d unchanged\n", hint.Count(changed, "manifest"), len(list)-changed))
	if older {
		return errFindings
	}
	return nil
}

var noSuchPath = regexp.MustCompile(`^the path "[^"]*" does not exist$`)

// manifests reads what -f and -k name, several documents and lists too.
func (a *app) manifests(o *wireOptions) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	files := resource.FilenameOptions{Filenames: o.files, Kustomize: o.kustomize, Recursive: o.recursive}
	err := resource.NewLocalBuilder().Unstructured().Local().FilenameParam(false, &files).Flatten().Do().Visit(func(info *resource.Info, err error) error {
		if err != nil {
			return err
		}
		if o, ok := info.Object.(*unstructured.Unstructured); ok {
			objects = append(objects, o)
		}
		return nil
	})
	switch {
	case err != nil && noSuchPath.MatchString(err.Error()):
		return nil, err
	case err != nil: // the cause quotes the file
		return nil, withHint(errors.New("-f: a document is no manifest: each needs apiVersion and kind, as YAML or JSON"), "name the files of manifests one by one")
	case len(objects) == 0:
		return nil, errors.New("-f: no object in it")
	}
	return objects, nil
}
