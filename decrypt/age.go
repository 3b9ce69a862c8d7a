// SPDX-License-Identifier: Apache-2.0

package decrypt

import "time"

// clockSkew is how many seconds the maker's clock may be ahead of ours. It is
// that of Python's cryptography; the specification leaves it open.
const clockSkew = 60

// OpenWithMaxAge does what OpenResult does, and then refuses a token that was
// made more than maxAge before now, or more than a minute after it: with an
// *AgeError. Whole seconds count, as tokens have no others. A maxAge of 0 allows
// for no age; it does not switch the check off.
//
// It is for tokens that are short-lived messages. A stored secret has no time to
// live: one that opens today must open when a pod restarts next year. Use Open.
func (r *Keyring) OpenWithMaxAge(token []byte, maxAge time.Duration, now time.Time) (Result, error) {
	result, err := r.OpenResult(token)
	if err != nil {
		return Result{}, err
	}
	made, at := result.Time.Unix(), now.Unix()
	switch {
	case made < 0 || made > at+clockSkew: // below 0 it is beyond the range of int64
		return Result{}, &AgeError{Time: result.Time, MaxAge: maxAge, Future: true}
	case at-made > int64(maxAge/time.Second):
		return Result{}, &AgeError{Time: result.Time, MaxAge: maxAge}
	}
	return result, nil
}
