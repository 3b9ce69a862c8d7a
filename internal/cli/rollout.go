// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"time"

	"github.com/spf13/pflag"
)

type rolloutOptions struct {
	timeout  time.Duration
	appsHold string
}

func (o *rolloutOptions) addFlags(f *pflag.FlagSet) {
	f.DurationVar(&o.timeout, "timeout", 5*time.Minute, "how long all rollouts together may take")
	f.StringVar(&o.appsHold, "apps-hold", "", "the id of the key that the applications hold already")
}

func (o *rolloutOptions) validate() error { return nil }
