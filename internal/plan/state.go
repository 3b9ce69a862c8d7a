// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"strings"
)

// State is what there is to say of a Secret, a key or a workload, in one word: the vocabulary
// of every verb and of every report. In a plan Created, Deleted and Patched stand for what is
// about to be done.
type State string

// What became of a Secret, or what keeps it from being written.
const (
	Created    State = "created"
	Unchanged  State = "unchanged"
	Differs    State = "differs" // it has, or a workload names one that has, another value
	Stale      State = "stale"   // the .env has a value that was replaced
	Orphan     State = "orphan"
	Replaced   State = "replaced" // its entries are in a bundle now, or single
	Foreign    State = "foreign"
	Misplaced  State = "misplaced"
	Superseded State = "superseded"
	Held       State = "held"     // because of another one beside it
	Blocked    State = "blocked"  // it keeps a rotation from beginning
	Unproven   State = "unproven" // what would have to be known about it could not be proven
	Failed     State = "failed"
	NotSent    State = "not-sent" // interrupted before its turn
)

// What only diff says; it uses push's states for the rest.
const (
	Same        State = "same"
	Reencrypted State = "re-encrypted"
)

// What status says, the most urgent last.
const (
	Current    State = "current"
	ToRetire   State = "retire"     // older generations are still there
	ToRollOut  State = "rollout"    // a workload names an older generation
	Unfinished State = "unfinished" // a rotation has not reached it
	Missing    State = "missing"    // it is known, and it is not there
	Broken     State = "broken"     // a workload names a generation that is not there
)

// What retire says of a Secret: that it is deleted, or what keeps it.
const (
	Deleted    State = "deleted"
	InUse      State = "in-use"
	InManifest State = "in-manifest"
	Mentioned  State = "mentioned"
	History    State = "history"  // an older revision needs it
	Restored   State = "put-back" // deleted, and created again because it came into use
)

// What became of a workload.
const (
	Patched     State = "patched"      // not waited for
	RolledOut   State = "rolled-out"   // the new references are there, and the rollout is done
	Restart     State = "restart"      // patched, and its pods take that only by hand
	Unhealthy   State = "unhealthy"    // it was so before, and is
	ChangedBack State = "changed-back" // the old references are there again
	Left        State = "left"         // to who keeps it as its source says
	ByHand      State = "by-hand"      // its template cannot be patched
	LacksKey    State = "lacks-key"    // its pods are not known to have the key that they would need
	LacksEntry  State = "lacks-entry"  // it names an entry that the next generation of a bundle does not have
	Denied      State = "denied"       // the API server refuses the patch
	NotThere    State = "gone"         // deleted meanwhile
)

// What became of a key.
const (
	Staged  State = "staged"
	Dropped State = "dropped"
	Kept    State = "kept"
)

// words are those that people read where it is not the word itself.
var words = map[State]string{InManifest: "in a manifest", History: "kept for rollback", Reencrypted: "re-encrypted"}

// Words gives a state as people read it.
func (s State) Words() string { return cmp.Or(words[s], strings.ReplaceAll(string(s), "-", " ")) }
