package proof

import (
	"encoding/json"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// read decodes what [Put] wrote, and leaves to encoding/json what is rare. It is half of what re-deciding an image would cost otherwise.
func (k *Known) read(p *store.Plain) bool {
	for p.Enter('{'); p.More('}'); {
		switch p.Key() {
		case "under":
			k.Under = map[string]Judged{}
			for p.Enter('{'); p.More('}'); {
				name := p.Key()
				k.Under[name] = readJudged(p)
			}
		case "facts":
			k.Facts = readFacts(p)
		case "found":
			k.Found = verify.Found(p.Text())
		case "registry":
			k.Registry = p.Bool()
		case "again":
			k.Again = p.Bool()
		case "at":
			k.At = p.Time()
		default:
			p.Fail()
		}
	}
	return p.End()
}

func readJudged(p *store.Plain) (j Judged) {
	for p.Enter('{'); p.More('}'); {
		switch p.Key() {
		case "revision":
			j.Revision = p.Text()
		case "facts":
			j.Facts = readFacts(p)
		default:
			p.Fail()
		}
	}
	return j
}

func readFacts(p *store.Plain) []verify.Fact {
	if p.Null() {
		return nil
	}
	facts := []verify.Fact{}
	for p.Enter('['); p.More(']'); {
		facts = append(facts, verify.Fact{})
		readFact(p, &facts[len(facts)-1])
	}
	return facts
}

// readFact decodes a fact: how it was proven here, what it says in [readClaim].
func readFact(p *store.Plain, f *verify.Fact) {
	for p.Enter('{'); p.More('}'); {
		switch key := p.Key(); key {
		case "evidence":
			f.Evidence = store.Digest(p.Text())
		case "layer":
			f.Layer = store.Digest(p.Text())
		case "found":
			f.Found = verify.Found(p.Text())
		case "kind":
			f.Kind = verify.FactKind(p.Text())
		case "scheme":
			f.Scheme = verify.Scheme(p.Text())
		case "verified":
			f.Verified = p.Bool()
		case "code":
			f.Code = verify.Code(p.Text())
		case "message":
			f.Message = p.Text()
		case "authority":
			f.Authority = p.Text()
		case "key_id":
			f.KeyID = p.Text()
		case "issuer":
			f.Issuer = p.Text()
		case "identity":
			f.Identity = p.Text()
		case "extensions":
			f.Extensions = p.TextMap()
		case "serial":
			f.Serial = p.Text()
		case "logs":
			f.Logs = readLogs(p)
		case "time_source":
			f.TimeSource = verify.TimeSource(p.Text())
		default:
			readClaim(p, f, key)
		}
	}
}

func readClaim(p *store.Plain, f *verify.Fact, key string) {
	switch key {
	case "predicate_type":
		f.PredicateType = p.Text()
	case "signed":
		f.Signed = store.Digest(p.Text())
	case "claimed_reference":
		f.ClaimedReference = p.Text()
	case "annotations":
		f.Annotations = p.TextMap()
	case "signed_at":
		f.SignedAt = p.Time()
	case "valid_from":
		f.ValidFrom = p.Time()
	case "valid_until":
		f.ValidUntil = p.Time()
	case "ends":
		f.Ends = verify.Code(p.Text())
	case "summary":
		p.Decode(&f.Summary)
	case "media_type":
		f.MediaType = p.Text()
	case "scope":
		f.Scope = p.Text()
	default: // what is found when it is read (inherited, of a target) is not stored
		p.Fail()
	}
}

func readLogs(p *store.Plain) []verify.LogEntry {
	logs := []verify.LogEntry{}
	for p.Enter('['); p.More(']'); {
		var l verify.LogEntry
		for p.Enter('{'); p.More('}'); {
			switch p.Key() {
			case "log":
				l.Log = p.Text()
			case "index":
				l.Index = p.Int()
			case "at":
				l.At = p.Time()
			default:
				p.Fail()
			}
		}
		logs = append(logs, l)
	}
	return logs
}

// Decode reads what is kept of an evidence manifest. Errors: CodeInternal.
func Decode(evidence store.Digest, b []byte) (*Known, error) {
	k, p := new(Known), store.ReadPlain(b)
	if k.read(&p) {
		return k, nil
	}
	k = new(Known)
	if err := json.Unmarshal(b, k); err != nil {
		return nil, store.Errorf(store.CodeInternal, "the facts of %s are damaged; run assay check: %w", evidence, err)
	}
	return k, nil
}
