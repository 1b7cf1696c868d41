package trust_test

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/verify/trust"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// The specification's section 5.3: update the root role.

func TestRootRotation(t *testing.T) {
	t.Run("signed by the old and the new key", func(t *testing.T) {
		s := newSimulator(t)
		f := s.follow()
		old := s.signers["root"]
		s.rotate("root")
		s.signers["root"] = append(s.signers["root"], old...)
		s.publish("root")
		s.signers["root"] = s.signers["root"][:1]
		s.publish("root")
		if got := f.accepts().Root; got != 3 {
			t.Errorf("root version %d, want 3", got)
		}
	})
	t.Run("not signed by the old key", func(t *testing.T) {
		s := newSimulator(t)
		s.rotate("root")
		s.publish("root")
		s.follow().refuses(trust.ErrThreshold)
	})
	t.Run("not signed by the new key", func(t *testing.T) {
		s := newSimulator(t)
		old := s.signers["root"]
		s.rotate("root")
		s.signers["root"] = old
		s.publish("root")
		s.follow().refuses(trust.ErrThreshold)
	})
	t.Run("an intermediate root has expired", func(t *testing.T) {
		s := newSimulator(t)
		s.root.Signed.Expires = epoch.Add(-day)
		s.publish("root")
		s.root.Signed.Expires = epoch.Add(day)
		s.publish("root")
		if got := s.follow().accepts().Root; got != 3 {
			t.Errorf("root version %d, want 3", got)
		}
	})
	t.Run("the threshold rises and needs the new number", func(t *testing.T) {
		s := newSimulator(t)
		f := s.follow()
		s.addKey("root", s.key())
		s.root.Signed.Roles["root"].Threshold = 2
		s.publish("root")
		f.accepts()
		s.signers["root"] = s.signers["root"][:1]
		s.publish("root")
		f.refuses(trust.ErrThreshold)
	})
}

func TestB25_RootRollback(t *testing.T) {
	s := newSimulator(t)
	f := s.follow()
	s.publish("root")
	f.accepts()
	for name, served := range map[string][]byte{"an old one": s.files["1.root.json"], "the same one": s.files["2.root.json"]} {
		s.files["3.root.json"] = served
		if err := f.refresh(); err == nil {
			t.Errorf("%s was accepted as version 3", name)
		}
	}
	s.root.Signed.Version += 3
	s.publish("root") // 6
	s.files["3.root.json"] = s.files["6.root.json"]
	f.refuses(trust.ErrRollback)
}

func TestRootChainIsBounded(t *testing.T) {
	s := newSimulator(t)
	f := s.follow()
	f.accepts()
	for range trust.MaxRotations + 4 {
		s.publish("root")
	}
	f.refuses(trust.ErrTooMany)
	f.accepts() // what was read is kept: the next refresh goes on from there
	if f.state.Root != trust.MaxRotations+5 {
		t.Errorf("root version %d", f.state.Root)
	}
}

// Sections 5.3.10, 5.4.4, 5.5.6, 5.6.6: freeze.

func TestB25_Freeze(t *testing.T) {
	for _, role := range []string{"root", "timestamp", "snapshot", "targets"} {
		t.Run(role, func(t *testing.T) {
			s := newSimulator(t)
			f := s.follow()
			f.accepts()
			end := f.now.Add(30 * time.Minute)
			s.root.Signed.Expires, s.timestamp.Signed.Expires = epoch.Add(900*day), epoch.Add(900*day)
			s.snapshot.Signed.Expires, s.targets["targets"].Signed.Expires = epoch.Add(900*day), epoch.Add(900*day)
			switch role {
			case "root":
				s.root.Signed.Expires = end
			case "timestamp":
				s.timestamp.Signed.Expires = end
			case "snapshot":
				s.snapshot.Signed.Expires = end
			case "targets":
				s.targets["targets"].Signed.Expires = end
			}
			s.publish("root")
			s.publishAll("targets")
			if got := f.accepts().Expires; !got.Equal(end) {
				t.Errorf("it expires at %s, want %s", got, end)
			}
			f.now = end.Add(-time.Nanosecond)
			f.accepts()
			f.now = end // section 5.3.10: the end must be higher than the time
			f.refuses(trust.ErrExpired)
		})
	}
}

// Sections 5.4.3, 5.5.5: rollback.

func TestB25_TimestampRollback(t *testing.T) {
	s := newSimulator(t)
	f := s.follow()
	old := s.files["timestamp.json"]
	s.publish("timestamp")
	f.accepts()
	s.files["timestamp.json"] = old
	f.refuses(trust.ErrRollback)
}

func TestTimestampOfTheSameVersionStays(t *testing.T) {
	s := newSimulator(t)
	f := s.follow()
	f.accepts()
	s.timestamp.Signed.Meta["snapshot.json"].Version = 100
	s.files["timestamp.json"] = sign(s, s.timestamp, "timestamp")
	f.accepts()
	if slices.Contains(s.asked, "100.snapshot.json") {
		t.Error("what a second timestamp of one version says was followed")
	}
}

func TestB25_SnapshotRollback(t *testing.T) {
	for _, hashes := range []bool{false, true} {
		s := newSimulator(t, func(s *simulator) { s.hashes = hashes })
		f := s.follow()
		s.publishAll()
		f.accepts()
		s.snapshot.Signed.Version = 0
		s.publishAll() // 1
		f.refuses(trust.ErrRollback)
	}
}

func TestB25_TargetsRollback(t *testing.T) {
	for _, hashes := range []bool{false, true} {
		s := newSimulator(t, func(s *simulator) { s.hashes = hashes })
		f := s.follow()
		s.publishAll("targets")
		f.accepts()
		s.targets["targets"].Signed.Version = 0
		s.publishAll("targets") // 1
		f.refuses(trust.ErrRollback)
	}
}

func TestTargetsRoleIsNotRemovedFromTheSnapshot(t *testing.T) {
	s := newSimulator(t)
	f := s.follow()
	s.delegate("targets", paths("team", "team/*"))
	s.publishAll("team", "targets")
	f.accepts()
	delete(s.snapshot.Signed.Meta, "team.json")
	s.publishAll()
	f.refuses(trust.ErrRollback)
}

func TestRollbackIsRefusedAfterAFailureToo(t *testing.T) {
	s := newSimulator(t)
	f := s.follow()
	f.accepts()
	old := s.files["timestamp.json"]
	s.publishAll("targets")
	missing := s.files["2.targets.json"]
	delete(s.files, "2.targets.json")
	f.refuses(trust.ErrNotFound)
	s.files["timestamp.json"] = old
	f.refuses(trust.ErrRollback)
	s.publish("timestamp")
	s.files["2.targets.json"] = missing
	if got := f.accepts().Targets; got != 2 {
		t.Errorf("targets version %d, want 2", got)
	}
}

// Section 5.3.11: a repository recovers from an attacker who published versions far ahead by rotating the keys of the role.

func TestFastForwardRecovery(t *testing.T) {
	t.Run("timestamp", func(t *testing.T) {
		s := newSimulator(t)
		f := s.follow()
		s.timestamp.Signed.Version = 1 << 40
		s.publish("timestamp")
		f.accepts()
		s.timestamp.Signed.Version = 1
		s.publish("timestamp") // 2, of the same key
		f.refuses(trust.ErrRollback)
		s.rotate("timestamp")
		s.publish("root", "timestamp")
		if got := f.accepts().Timestamp; got != 3 {
			t.Errorf("timestamp version %d, want 3", got)
		}
	})
	t.Run("snapshot", func(t *testing.T) {
		s := newSimulator(t)
		f := s.follow()
		s.snapshot.Signed.Version = 1 << 40
		s.publishAll()
		f.accepts()
		s.rotate("snapshot")
		s.rotate("timestamp")
		s.snapshot.Signed.Version = 1
		s.publish("root")
		s.publishAll()
		if got := f.accepts().Snapshot; got != 2 {
			t.Errorf("snapshot version %d, want 2", got)
		}
	})
	t.Run("targets", func(t *testing.T) {
		s := newSimulator(t)
		f := s.follow()
		s.targets["targets"].Signed.Version = 1 << 40
		s.publishAll("targets")
		f.accepts()
		s.rotate("snapshot")
		s.targets["targets"].Signed.Version = 1
		s.publish("root")
		s.publishAll("targets")
		if got := f.accepts().Targets; got != 2 {
			t.Errorf("targets version %d, want 2", got)
		}
	})
}

// Sections 5.5.2 to 5.5.4, 5.6.2 to 5.6.4: mix-and-match.

func TestMixAndMatch(t *testing.T) {
	t.Run("snapshot of another version", func(t *testing.T) {
		s := newSimulator(t)
		s.publish("snapshot")
		s.publishAll()
		s.files["3.snapshot.json"] = s.files["2.snapshot.json"]
		s.follow().refuses(trust.ErrMismatch)
	})
	t.Run("targets of another version", func(t *testing.T) {
		s := newSimulator(t)
		s.publishAll("targets")
		s.files["2.targets.json"] = s.files["1.targets.json"]
		s.follow().refuses(trust.ErrMismatch)
	})
	t.Run("delegated role of another version", func(t *testing.T) {
		s := newSimulator(t)
		s.delegate("targets", paths("team", "team/*"))
		s.publish("team", "team")
		s.publishAll("targets")
		s.files["2.team.json"] = s.files["1.team.json"]
		s.follow().refuses(trust.ErrMismatch)
	})
	t.Run("without consistent snapshots, a refresh between two publications", func(t *testing.T) {
		s := newSimulator(t, func(s *simulator) { s.root.Signed.ConsistentSnapshot = false })
		f := s.follow()
		f.accepts()
		s.publish("targets") // uploaded before the snapshot and the timestamp that name it
		before := s.files["timestamp.json"]
		s.publish("snapshot", "timestamp")
		s.files["timestamp.json"] = before
		f.accepts() // nothing new is named
		s.publish("timestamp")
		s.files["snapshot.json"] = sign(s, s.snapshot, "timestamp")
		f.refuses(trust.ErrThreshold)
	})
}

func TestWrongLengthOrHash(t *testing.T) {
	for _, role := range []string{"snapshot", "targets", "team"} {
		t.Run(role, func(t *testing.T) {
			for what, spoil := range map[string]func(*metadata.MetaFiles){
				"hash":        func(m *metadata.MetaFiles) { m.Hashes["sha256"][0] ^= 1 },
				"length":      func(m *metadata.MetaFiles) { m.Length++ },
				"no known":    func(m *metadata.MetaFiles) { m.Hashes = metadata.Hashes{"md5": m.Hashes["sha256"]} },
				"second hash": func(m *metadata.MetaFiles) { m.Hashes["sha512"] = bytes.Repeat([]byte{1}, 64) },
			} {
				s := newSimulator(t, func(s *simulator) { s.hashes = true })
				s.delegate("targets", paths("team", "team/*"))
				s.publish("team", "targets")
				if role != "snapshot" {
					spoil(s.snapshot.Signed.Meta[role+".json"])
				}
				s.publish("snapshot")
				if role == "snapshot" {
					spoil(s.timestamp.Signed.Meta["snapshot.json"])
				}
				s.publish("timestamp")
				if err := s.follow().refresh(); !is(err, trust.ErrMismatch) && !is(err, trust.ErrTooBig) {
					t.Errorf("wrong %s: %v", what, err)
				}
			}
		})
	}
}

// Section 5.1 and 4.3: thresholds and keys.

func TestThresholdNotMet(t *testing.T) {
	for _, role := range []string{"root", "timestamp", "snapshot", "targets"} {
		t.Run(role, func(t *testing.T) {
			s := newSimulator(t)
			f := s.follow()
			f.accepts()
			s.addKey(role, s.key())
			s.addKey(role, s.key())
			s.root.Signed.Roles[role].Threshold = 2
			if role == "root" {
				s.signers[role] = s.signers[role][:1]
			}
			s.publish("root")
			s.signers[role] = s.signers[role][:1]
			s.publishAll("targets")
			f.refuses(trust.ErrThreshold)
		})
	}
}

func TestUnsignedMetadata(t *testing.T) {
	for _, role := range []string{"root", "timestamp", "snapshot", "targets"} {
		s := newSimulator(t)
		f := s.follow()
		s.signers[role] = nil
		s.publish("root")
		s.publishAll("targets")
		f.refuses(trust.ErrThreshold)
	}
}

func TestB25_ThresholdZero(t *testing.T) {
	s := newSimulator(t)
	f := s.follow()
	s.root.Signed.Roles["timestamp"].Threshold = 0
	s.publish("root")
	f.refuses(trust.ErrThreshold)

	s = newSimulator(t, func(s *simulator) { s.root.Signed.Roles["targets"].Threshold = 0 })
	if _, err := trust.New(trust.Options{Authority: s.authority(), Clock: time.Now}); !is(err, trust.ErrThreshold) {
		t.Errorf("a first root with threshold 0: %v", err)
	}

	s = newSimulator(t)
	s.delegate("targets", paths("team", "team/*"))
	s.targets["targets"].Signed.Delegations.Roles[0].Threshold = 0
	s.publishAll("team", "targets")
	s.follow().refuses(trust.ErrThreshold)
}

func TestB25_OneKeyCountsOnce(t *testing.T) {
	t.Run("its ID stands twice in the role", func(t *testing.T) {
		s := newSimulator(t)
		role := s.root.Signed.Roles["timestamp"]
		role.KeyIDs, role.Threshold = append(role.KeyIDs, role.KeyIDs[0]), 2
		s.publish("root", "timestamp")
		s.follow().refuses(trust.ErrMalformed)
	})
	t.Run("its signature stands twice", func(t *testing.T) {
		s := newSimulator(t)
		s.addKey("timestamp", s.key())
		s.root.Signed.Roles["timestamp"].Threshold = 2
		s.signers["timestamp"] = []crypto.Signer{s.signers["timestamp"][0], s.signers["timestamp"][0]}
		s.publish("root", "timestamp")
		s.follow().refuses(trust.ErrMalformed)
	})
	t.Run("it has two IDs", func(t *testing.T) {
		s := newSimulator(t)
		role := s.root.Signed.Roles["timestamp"]
		same := *s.root.Signed.Keys[role.KeyIDs[0]]
		s.root.Signed.Keys["another"] = &same
		role.KeyIDs, role.Threshold = append(role.KeyIDs, "another"), 2
		s.publish("root", "timestamp")
		s.timestamp.Signatures = append(s.timestamp.Signatures, metadata.Signature{KeyID: "another", Signature: s.timestamp.Signatures[0].Signature})
		b, err := s.timestamp.ToBytes(false)
		s.must(err)
		s.files["timestamp.json"] = b
		s.follow().refuses(trust.ErrThreshold)
	})
}

func TestKeyTypes(t *testing.T) {
	for name, key := range map[string]func(t *testing.T) crypto.Signer{
		"ecdsa": ecdsaKey, "rsassa-pss": func(t *testing.T) crypto.Signer { return rsaKey(t, 2048) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSimulator(t)
			f := s.follow()
			for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
				s.addKey(role, key(t))
				s.root.Signed.Roles[role].Threshold = 2
			}
			s.publish("root")
			s.publishAll("targets")
			f.accepts()
			s.publish("timestamp")
			signature := s.timestamp.Signatures[1].Signature
			signature[len(signature)-1] ^= 1
			b, err := s.timestamp.ToBytes(false)
			s.must(err)
			s.files["timestamp.json"] = b
			f.refuses(trust.ErrThreshold)
		})
	}
	t.Run("a weak key", func(t *testing.T) {
		s := newSimulator(t)
		s.addKey("timestamp", rsaKey(t, 1024))
		s.publish("root")
		s.follow().refuses(trust.ErrMalformed)
	})
	t.Run("an Ed25519 key of another length", func(t *testing.T) {
		s := newSimulator(t)
		s.root.Signed.Keys["short"] = &metadata.Key{Type: "ed25519", Scheme: "ed25519", Value: metadata.KeyVal{PublicKey: "abcd"}}
		s.publish("root")
		s.follow().refuses(trust.ErrMalformed)
	})
	t.Run("a key of an unknown type that signs nothing", func(t *testing.T) {
		s := newSimulator(t)
		s.root.Signed.Keys["new"] = &metadata.Key{Type: "ml-dsa", Scheme: "ml-dsa-65", Value: metadata.KeyVal{PublicKey: "abcd"}}
		s.publish("root")
		s.follow().accepts()
	})
}

func TestAnInvalidSignatureBesideEnoughValidOnes(t *testing.T) {
	s := newSimulator(t)
	s.addKey("timestamp", s.key())
	s.publish("root", "timestamp")
	for _, bad := range []metadata.HexBytes{{}, {1, 2, 3}, bytes.Repeat([]byte{7}, 64)} {
		s.timestamp.Signatures[1].Signature = bad
		b, err := s.timestamp.ToBytes(false)
		s.must(err)
		s.files["timestamp.json"] = b
		s.follow().accepts()
	}
}

// Section 4: what a metadata file is.

func TestInvalidMetadata(t *testing.T) {
	for _, role := range []string{"2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"} {
		t.Run(role, func(t *testing.T) {
			s := newSimulator(t)
			s.publish("root")
			good := s.files[role]
			f := s.follow()
			for _, bad := range []string{
				"", "{}", "null", "[]", "not json", `{"signed":null,"signatures":[]}`, `{"signed":{},"signatures":null}`, strings.Repeat("[", 1000),
				string(good) + "x", string(good) + string(good), "\xef\xbb\xbf" + string(good), string(good[:len(good)/2]),
				strings.Replace(string(good), `"signatures":`, `"signatures":[],"signatures":`, 1),
				strings.Replace(string(good), `"version":`, `"version":1.5,"x":`, 1), strings.Replace(string(good), `"version":`, `"version":-`, 1),
				strings.Replace(string(good), `"spec_version":"1.`, `"spec_version":"2.`, 1), strings.Replace(string(good), `"_type":"`, `"_type":"x`, 1),
				strings.Replace(string(good), `"expires":"`, `"expires":"soon`, 1), strings.Replace(string(good), `"sig":"`, `"sig":"zz`, 1),
			} {
				s.files[role] = []byte(bad)
				if err := f.refresh(); err == nil || is(err, trust.ErrUnavailable) {
					t.Errorf("%.80q: %v", bad, err)
				}
			}
			s.files[role] = append([]byte(" \n"), append(good, ' ')...)
			f.accepts()
		})
	}
}

func TestNullsDoNotEndTheProcess(t *testing.T) {
	s := newSimulator(t)
	s.publish("root")
	s.publishAll("targets")
	for name, edit := range map[string]func(map[string]any){
		"2.root.json key":         func(m map[string]any) { m["keys"] = map[string]any{"a": nil} },
		"2.root.json keys":        func(m map[string]any) { m["keys"] = nil },
		"2.root.json role":        func(m map[string]any) { m["roles"].(map[string]any)["timestamp"] = nil },
		"2.root.json roles":       func(m map[string]any) { m["roles"] = nil },
		"timestamp.json meta":     func(m map[string]any) { m["meta"] = map[string]any{"snapshot.json": nil} },
		"timestamp.json no meta":  func(m map[string]any) { m["meta"] = nil },
		"timestamp.json other":    func(m map[string]any) { m["meta"] = map[string]any{"other.json": map[string]any{"version": 1}} },
		"2.snapshot.json meta":    func(m map[string]any) { m["meta"].(map[string]any)["targets.json"] = nil },
		"2.snapshot.json no meta": func(m map[string]any) { m["meta"] = nil },
		"2.targets.json target":   func(m map[string]any) { m["targets"] = map[string]any{"acme/app/1": nil} },
		"2.targets.json role":     func(m map[string]any) { m["delegations"] = map[string]any{"keys": nil, "roles": []any{nil}} },
		"2.targets.json bins": func(m map[string]any) {
			m["delegations"] = map[string]any{"keys": map[string]any{}, "succinct_roles": map[string]any{"bit_length": 40}}
		},
	} {
		file, _, _ := strings.Cut(name, " ")
		before := s.files[file]
		var m map[string]any
		s.must(json.Unmarshal(before, &m))
		edit(m["signed"].(map[string]any))
		role := strings.TrimSuffix(strings.TrimPrefix(file, "2."), ".json")
		m["signatures"] = []any{}
		for _, k := range s.signers[role] {
			_, id := s.tufKey(k)
			m["signatures"] = append(m["signatures"].([]any), map[string]any{"keyid": id, "sig": hex.EncodeToString(s.signature(k, m["signed"]))})
		}
		b, err := json.Marshal(m)
		s.must(err)
		s.files[file] = b
		if err := s.follow().refresh(); err == nil {
			t.Errorf("%s: accepted", name)
		}
		s.files[file] = before
	}
	s.follow().accepts()
}

// Endless data: each file has its limit.

func TestEndlessData(t *testing.T) {
	for name, limit := range map[string]int{
		"2.root.json": trust.MaxRoot, "timestamp.json": trust.MaxTimestamp, "1.snapshot.json": trust.MaxSnapshot, "1.targets.json": trust.MaxTargets,
	} {
		s := newSimulator(t)
		s.publish("root")
		pad := bytes.Repeat([]byte(" "), limit+1-len(s.files[name]))
		s.files[name] = append(s.files[name], pad...)
		s.follow().refuses(trust.ErrTooBig)
		s.files[name] = s.files[name][:limit]
		s.follow().accepts()
	}
	s := newSimulator(t, func(s *simulator) { s.hashes = true })
	s.publishAll("targets")
	s.snapshot.Signed.Meta["targets.json"].Length = trust.MaxTargets + 1
	s.publishAll()
	s.follow().refuses(trust.ErrTooBig)
}

func TestMetadataWithTooMuchInIt(t *testing.T) {
	s := newSimulator(t)
	signatures := func(n int) {
		s.timestamp.Signatures = s.timestamp.Signatures[:1]
		for i := range n - 1 {
			s.timestamp.Signatures = append(s.timestamp.Signatures, metadata.Signature{KeyID: strconv.Itoa(i), Signature: []byte{1}})
		}
		b, err := s.timestamp.ToBytes(false)
		s.must(err)
		s.files["timestamp.json"] = b
	}
	signatures(trust.MaxSignatures)
	s.follow().accepts()
	signatures(trust.MaxSignatures + 1)
	s.follow().refuses(trust.ErrTooMany)

	s = newSimulator(t)
	key, _ := s.tufKey(s.key())
	for i := range trust.MaxKeys {
		s.root.Signed.Keys[strconv.Itoa(i)] = key
	}
	s.publish("root")
	s.follow().refuses(trust.ErrTooMany)

	s = newSimulator(t)
	s.files["1.targets.json"] = []byte("[" + strings.Repeat("[],", trust.MaxTargets/3-10) + "0]")
	s.follow().refuses(trust.ErrTooMany)
}

func is(err, kind error) bool { return errors.Is(err, kind) }
