// SPDX-License-Identifier: Apache-2.0

package main

// mutations break one clause each. They are written from docs/trust.md, not from the tests.
var mutations = []mutation{
	// R1: a new key is on disk before anything is sealed with it.
	{
		rule: "R1", clause: "the new key is written before a token under it leaves", file: "internal/action/rotate_write.go",
		old: "	if err := p.takeKey(ctx); err != nil {\n		return err\n	}\n	drafts, fresh, err := p.reseal()", new: "	if p.edit != nil {\n		s.Project = s.Project.WithKeys(p.edit.Keys)\n	}\n	drafts, fresh, err := p.reseal()",
		dir: "cmd/kubectl-fernet", test: "TestNewKeyIsOnDiskBeforeTheFirstCreate",
	},
	{
		rule: "R1", clause: "the temporary file is fsynced", file: "internal/atomicfile/atomicfile.go",
		old: "	if _, err = f.Write(data); err == nil {\n		err = f.Sync()\n	}\n", new: "	_, err = f.Write(data)\n",
		dir: "cmd/kubectl-fernet", test: "TestNewKeyIsOnDiskBeforeTheFirstCreate",
	},
	{
		rule: "R1", clause: "its folder is fsynced", file: "internal/atomicfile/atomicfile.go",
		old: "	return t.fsys.SyncDir(filepath.Dir(path))", new: "	return nil",
		dir: "cmd/kubectl-fernet", test: "TestNewKeyIsOnDiskBeforeTheFirstCreate",
	},
	{
		rule: "R1", clause: "only you can read it", file: "internal/atomicfile/atomicfile.go",
		old: "	t, err := newTemp(fsys, target, new, 0o600)", new: "	t, err := newTemp(fsys, target, new, 0o644)",
		dir: "internal/atomicfile", test: "TestTemporaryFileIsPrivate",
	},
	{
		rule: "R1", clause: "what a killed run left beside is cleaned away", file: "internal/atomicfile/atomicfile.go",
		old: "	err = fsys.Remove(target + Suffix)", new: "	_, err = fsys.Stat(target + Suffix)",
		dir: "internal/atomicfile", test: "TestCleanLeftover",
	},
	{
		rule: "R1", clause: "another process's change of the file is not overwritten", file: "internal/atomicfile/atomicfile.go",
		old: "	if !bytes.Equal(got, want) {", new: "	if bytes.HasPrefix(got, want) && len(got) > len(want) {",
		dir: "internal/atomicfile", test: "TestReplaceRefuses",
	},

	// R2: a token is in the ledger before it is sent.
	{
		rule: "R2", clause: "the planned row comes before the request", file: "internal/action/journal.go",
		old: "	if s.Mode == Live {\n		if err := s.record(append(durable, also...)...); err != nil {\n			return err\n		}\n	}\n	return notRecorded(s.send(ctx, drafts, verb, judge), verb)",
		new: "	if err := s.send(ctx, drafts, verb, judge); err != nil || s.Mode != Live {\n		return notRecorded(err, verb)\n	}\n	return s.record(append(durable, also...)...)",
		dir: "internal/action", test: "TestEveryFaultOfCreating",
	},
	{
		rule: "R2", clause: "the row is durable", file: "internal/ledger/ledger.go",
		old: "	if err == nil {\n		err = f.Sync()\n	}\n	err = errors.Join(err, f.Close())\n	if err == nil && l.info == nil {", new: "	err = errors.Join(err, f.Close())\n	if err == nil && l.info == nil {",
		dir: "internal/ledger", test: "TestFaultAtEveryCall",
	},
	{
		rule: "R2", clause: "the row of a delete comes before the delete", file: "internal/action/journal_delete.go",
		old: "	if err := s.record(append(also, s.retiring(items)...)...); err != nil {", new: "	if err := s.record(also...); err != nil {",
		dir: "internal/action", test: "TestEveryFaultOfRetire",
	},
	{
		rule: "R2", clause: "a retry sends the same bytes", file: "internal/plan/push.go",
		old: "	row.KeyID, row.Token, row.Binding = r.KeyID, r.Token, r.Binding\n	return Decision{Outcome: Created, Row: row, Resend: true}", new: "	row.KeyID, row.Binding = r.KeyID, r.Binding\n	return Decision{Outcome: Created, Row: row, Resend: true}",
		dir: "internal/plan", test: "TestPush",
	},
	{
		rule: "R2", clause: "after a write that failed the ledger takes no more", file: "internal/ledger/ledger.go",
		old: "	if l.failed != nil {\n		return l.failed\n	}\n	rows = l.expand(rows)", new: "	rows = l.expand(rows)",
		dir: "internal/ledger", test: "TestFaultAtEveryCall",
	},

	{
		rule: "R2", clause: "two never write one ledger: where no lock can be had nothing is written", file: "internal/ledger/lock.go",
		old: "		return nil, lockError(name, err)\n	}\n	if !locked {", new: "		locked = true\n	}\n	if !locked {",
		dir: "cmd/kubectl-fernet", test: "TestTrustNoLocks",
	},

	// R3: an error proves nothing.
	{
		rule: "R3", clause: "after an error of a create the Secret is fetched", file: "internal/cluster/create.go",
		old: "	return c.afterError(ctx, sent, err, definite(err) && !doubt.Load())", new: "	return Result{Fate: Refused, Err: explain(err)}",
		dir: "internal/cluster", test: "TestCreate",
	},
	{
		rule: "R3", clause: "its bytes are compared", file: "internal/cluster/create.go",
		old: "	case !maps.EqualFunc(sent.Data, live.Data, bytes.Equal):", new: "	case sent.Name != live.Name && !maps.EqualFunc(sent.Data, live.Data, bytes.Equal):",
		dir: "internal/cluster", test: "TestCreate",
	},
	{
		rule: "R3", clause: "what is absent after a timeout may still come", file: "internal/cluster/create.go",
		old: "	return c.afterError(ctx, sent, err, definite(err) && !doubt.Load())", new: "	return c.afterError(ctx, sent, err, true)",
		dir: "internal/cluster", test: "TestCreateLandsLater",
	},
	{
		rule: "R3", clause: "after an error of a delete it looks", file: "internal/cluster/delete.go",
		old: "	case now.ResourceVersion != o.ResourceVersion: // which", new: "	case cause != nil: // which",
		dir: "internal/cluster", test: "TestDeleteLandsLater",
	},
	{
		rule: "R3", clause: "what is doubtful stays planned", file: "internal/action/journal.go",
		old: "	case result.Fate == cluster.Refused:\n		row.State = ledger.Failed\n	default:", new: "	case result.Fate == cluster.Refused, result.Fate == cluster.Doubtful:\n		row.State = ledger.Failed\n	default:",
		dir: "internal/action", test: "TestWhatComesOfACreate",
	},

	{
		rule: "R3", clause: "what the cluster changed on its way in does not count as done", file: "internal/cluster/create.go",
		old: "	case whole:\n", new: "	case whole || r.Fate == Landed:\n",
		dir: "cmd/kubectl-fernet", test: "TestTrustMutation",
	},

	// R4: ours by proof.
	{
		rule: "R4", clause: "a key opens its token", file: "internal/plan/push.go",
		old: "	case v.Opens && v.Binding == token.BindingHolds:\n		return classOurs, v", new: "	case o.Managed || v.Opens && v.Binding == token.BindingHolds:\n		return classOurs, v",
		dir: "internal/plan", test: "TestPush",
	},
	{
		rule: "R4", clause: "the binding says that it was made for this place", file: "internal/plan/push.go",
		old: "	case v.Opens && v.Binding == token.BindingHolds:\n		return classOurs, v", new: "	case v.Opens:\n		return classOurs, v",
		dir: "internal/plan", test: "TestPush",
	},
	{
		rule: "R4", clause: "the binding has the namespace", file: "internal/seal/seal.go",
		old: "	addTexts(mac, namespace, secret, dataKey, token)", new: "	addTexts(mac, secret, dataKey, token)",
		dir: "internal/seal", test: "TestJudge",
	},
	{
		rule: "R4", clause: "no entry of a bundle was taken away or swapped", file: "internal/seal/seal.go",
		old: "		addTexts(mac, e.Name, e.Token)", new: "		addTexts(mac, e.Name)",
		dir: "internal/seal", test: "TestJudgeABundle",
	},
	{
		rule: "R4", clause: "one key opens all tokens of a bundle", file: "internal/seal/seal.go",
		old: "		v.Binding = token.BindingWrong // no Secret of ours has tokens of two keys", new: "		v.Binding = token.BindingHolds",
		dir: "internal/seal", test: "TestTwoKeysAreNeverBound",
	},
	{
		rule: "R4", clause: "what is not ours is never deleted", file: "internal/plan/retire.go",
		old: "			} else if c, v := p.classify(o); c == classOurs {", new: "			} else if c, v := p.classify(o); c >= 0 {",
		dir: "internal/plan", test: "TestRetire",
	},
	{
		rule: "R4", clause: "a delete is of the very object that was seen", file: "internal/cluster/delete.go",
		old: "	opts := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &o.ResourceVersion}}", new: "	opts := metav1.DeleteOptions{}\n	_ = uid",
		dir: "internal/cluster", test: "TestDelete",
	},

	// R5: an old keyring writes nothing.
	{
		rule: "R5", clause: "a live Secret under a key that is lacking supersedes", file: "internal/plan/push.go",
		old: "			case c == classOurs || o.Managed && o.KeyID != \"\" && p.lacking(o.KeyID):", new: "			case c == classOurs:",
		dir: "internal/plan", test: "TestPush",
	},
	{
		rule: "R5", clause: "nothing is written in that namespace", file: "internal/plan/push.go",
		old: "	if SupersededLive(superseded) {\n		holdBack(rest)\n	}", new: "",
		dir: "internal/plan", test: "TestHoldBack",
	},
	{
		rule: "R5", clause: "a row alone holds its name back", file: "internal/plan/push.go",
		old: "	if byRow != nil {\n		return *byRow, true\n	}\n	return Decision{}, false\n}\n\n// lacking", new: "	return Decision{}, false\n}\n\n// lacking",
		dir: "internal/plan", test: "TestPush",
	},
	{
		rule: "R5", clause: "--ignore-key never gets past a live Secret", file: "internal/plan/push.go",
		old: "			case c == classOurs || o.Managed && o.KeyID != \"\" && p.lacking(o.KeyID):", new: "			case slices.Contains(p.view.Ignore, o.KeyID):\n			case c == classOurs || o.Managed && o.KeyID != \"\" && p.lacking(o.KeyID):",
		dir: "internal/plan", test: "TestPush",
	},
	{
		rule: "R5", clause: "KEY and KEY_PREVIOUS that were swapped are found", file: "internal/plan/push.go",
		old: "	if older {\n		d := p.supersededBy(newest, keyID,", new: "	if older && byRow != nil {\n		d := p.supersededBy(newest, keyID,",
		dir: "internal/plan", test: "TestPush",
	},

	// R6: at every moment all is readable, and the next run finishes.
	{
		rule: "R6", clause: "a key stays while a live token needs it", file: "internal/plan/dropkey.go",
		old: "		if needs && !going(o) {", new: "		if needs && going(o) {",
		dir: "internal/plan", test: "TestUseOfKeys",
	},
	{
		rule: "R6", clause: "a key stays while what is gone comes back only with it", file: "internal/plan/dropkey.go",
		old: "		case r.State == ledger.Created && above:\n			u.Lost = append(u.Lost, r.Secret)", new: "		case r.State == ledger.Created && above && is:\n			u.Lost = append(u.Lost, r.Secret)",
		dir: "internal/plan", test: "TestUseOfKeys",
	},
	{
		rule: "R6", clause: "a key stays while a create may still land", file: "internal/plan/dropkey.go",
		old: "		case above && (r.State == ledger.Planned || r.State == ledger.Failed):", new: "		case above && r.State == ledger.Failed:",
		dir: "internal/plan", test: "TestUseOfKeys",
	},
	{
		rule: "R6", clause: "the older generation is deleted first", file: "internal/plan/retire.go",
		old: "object(a).Generation - object(b).Generation })\n	next", new: "object(b).Generation - object(a).Generation })\n	next",
		dir: "internal/plan", test: "TestOldestFirst",
	},
	{
		rule: "R6", clause: "the current generation is never deleted", file: "internal/plan/retire.go",
		old: "by[w.Base] == \"\" && g >= current.Generation {", new: "by[w.Base] == \"\" && g > current.Generation {",
		dir: "internal/plan", test: "TestRetire",
	},
	{
		rule: "R6", clause: "what is used again after the walk is put back", file: "internal/action/journal_delete.go",
		old: "		if err == nil {\n			err = s.putBack(ctx, item)\n		}", new: "		_ = item",
		dir: "internal/action", test: "TestRetirePutsBack",
	},
	{
		rule: "R6", clause: "what was created is read back", file: "internal/action/rotate_write.go",
		old: "	p.readBack(ctx)\n", new: "",
		dir: "cmd/kubectl-fernet", test: "TestRotationThatCannotReadBack",
	},
	{
		rule: "R6", clause: "a rotation keeps the value", file: "internal/seal/seal.go",
		old: "		plain, _, err := s.ring.Open(e.Token)\n		if err == nil {\n			entries[i].Token, err = s.seal(plain, e.Token)", new: "		plain, _, err := s.ring.Open(e.Token)\n		if err == nil {\n			entries[i].Token, err = s.seal(append(plain, ' '), e.Token)",
		dir: "internal/seal", test: "TestReseal",
	},

	// R7: no value, no key, no request body in any output.
	{
		rule: "R7", clause: "the key is not in the environment of a child", file: "internal/cli/cli.go",
		old: "	_ = os.Unsetenv(name)\n	return value", new: "	return value",
		dir: "cmd/kubectl-fernet", test: "TestCredentialPluginsDoNotGetTheKey",
	},
	{
		rule: "R7", clause: "keys and tokens among the arguments are refused", file: "internal/cli/flags.go",
		old: "	kind := cmp.Or(token.Kind(arg), token.Kind(unescaped(arg)))\n", new: "	kind := cmp.Or(\"\", token.Kind(unescaped(\"\")))\n",
		dir: "internal/cli", test: "TestNoArgumentWithASecretIsRepeated",
	},
	{
		rule: "R7", clause: "a value prints as nothing", file: "internal/envfile/value.go",
		old: "func (Value) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }", new: "func (v Value) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, v.Reveal()) }",
		dir: "internal/envfile", test: "TestValueIsRedactedByEveryPrinter",
	},
	{
		rule: "R7", clause: "a panic in a goroutine does not show its value", file: "internal/redact/crash.go",
		old: "(%T)\\n\", value)", new: "(%v)\\n\", value)",
		dir: "internal/redact", test: "TestGuardHidesTheValueOfAPanic",
	},
	{
		rule: "R7", clause: "HTTP/2 debugging is refused", file: "internal/cli/cli.go",
		old: "	if err := refuseDebugging(os.Getenv(\"GODEBUG\")); err != nil {", new: "	if err := refuseDebugging(\"\"); err != nil {",
		dir: "cmd/kubectl-fernet", test: "TestHTTP2DebuggingIsRefused",
	},

	// R8: text from outside is data.
	{
		rule: "R8", clause: "what is known to be secret is cut out", file: "internal/redact/redact.go",
		old: "	if len(s.secrets) > 0 && len(text) >= window {", new: "	if len(s.secrets) > 1000 && len(text) >= window {",
		dir: "internal/redact", test: "TestCleanInEveryEncoding",
	},
	{
		rule: "R8", clause: "control characters are made visible", file: "internal/redact/visible.go",
		old: "		case !obeyed(r):\n			b.WriteRune(r)", new: "		case !obeyed(r) || r == 0x1b:\n			b.WriteRune(r)",
		dir: "internal/redact", test: "TestVisible",
	},
	{
		rule: "R8", clause: "each word from outside is quoted for a shell", file: "internal/hint/hint.go",
		old: "	case plain.MatchString(word):", new: "	case plain.MatchString(word) || Shown(word) && word != \"\":",
		dir: "internal/hint", test: "TestWordIsOneWordOfBash",
	},
	{
		rule: "R8", clause: "a name that holds a key is an error that does not show it", file: "internal/keyring/keyring.go",
		old: "func (r *Keyring) Contains(text string) bool {\n	return slices", new: "func (r *Keyring) Contains(text string) bool {\n	return false && slices",
		dir: "internal/seal", test: "TestCheckValue",
	},

	// R9: the ledger is not trusted.
	{
		rule: "R9", clause: "a row counts as evidence only if a key signed it as it stands", file: "internal/seal/sign.go",
		old: "			if hmac.Equal([]byte(s.sum(cells)), []byte(mac)) {", new: "			if s.sum(cells) != \"\" {",
		dir: "internal/seal", test: "TestVerify",
	},
	{
		rule: "R9", clause: "a row of another signer is a hint", file: "internal/seal/sign.go",
		old: "			return ledger.Hint", new: "			return ledger.Evidence",
		dir: "internal/seal", test: "TestVerify",
	},
	{
		rule: "R9", clause: "a row that was edited adds up to nothing", file: "internal/ledger/book.go",
		old: "		b.addEdited(row)\n		return\n", new: "		b.addEdited(row)\n",
		dir: "internal/ledger", test: "TestBookTellsProofFromHint",
	},
	{
		rule: "R9", clause: "a row without a signature adds up to nothing", file: "internal/ledger/book.go",
		old: "			b.unsignedRow = row.Line\n		}\n		return\n", new: "			b.unsignedRow = row.Line\n		}\n",
		dir: "internal/ledger", test: "TestBookTellsProofFromHint",
	},
	{
		rule: "R9", clause: "a hint creates nothing", file: "internal/plan/restore.go",
		old: "	case r.Hint:\n		return \"its rows are signed by a key that this keyring lacks\"\n", new: "",
		dir: "internal/adversary", test: "TestForgedRowsProveNothing",
	},
	{
		rule: "R9", clause: "a token has to open in its own place", file: "internal/plan/restore.go",
		old: "	case v.Binding != token.BindingHolds:\n		return \"its token was made for another place\"\n", new: "",
		dir: "internal/plan", test: "TestRestore",
	},

	// R10: no application gets ciphertext in silence.
	{
		rule: "R10", clause: "a token that does not open is an error", file: "decrypt/environ.go",
		old: "	case errors.Is(err, ErrNotSealed) && !matches(e.require, name):", new: "	case errors.Is(err, ErrNotSealed) || err != nil && !matches(e.require, name):",
		dir: "decrypt", test: "TestVectors",
	},
	{
		rule: "R10", clause: "what was cut, quoted or encoded once more is an error", file: "decrypt/near.go",
		old: "	bare := bytes.TrimFunc(text, isBlankOrQuote)\n", new: "	bare := text\n	_ = isBlankOrQuote\n",
		dir: "decrypt", test: "TestVectors",
	},
	{
		rule: "R10", clause: "what --require names has to be a token", file: "decrypt/environ.go",
		old: "	case errors.Is(err, ErrNotSealed) && !matches(e.require, name):", new: "	case errors.Is(err, ErrNotSealed):",
		dir: "decrypt", test: "TestOptions",
	},
	{
		rule: "R10", clause: "nothing is passed on beside an error", file: "decrypt/environ.go",
		old: "	if len(e.refused) > 0 {\n		return nil, nil, e.refused", new: "	if len(e.refused) > 0 && len(e.opened) == 0 {\n		return nil, nil, e.refused",
		dir: "decrypt", test: "TestEnvironNamesAll",
	},
	{
		rule: "R10", clause: "a token's signature is checked", file: "decrypt/open.go",
		old: "	return hmac.Equal(hmacSHA256(signing, raw[:end]), raw[end:])", new: "	return hmac.Equal(hmacSHA256(signing, raw[:end])[:8], raw[end:][:8])",
		dir: "decrypt", test: "TestEveryBitFlipAndTruncationIsRefused",
	},
}
