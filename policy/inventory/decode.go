package inventory

import (
	"encoding/json"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// Every decision about an image reads what is kept of its SBOMs, with each licence that they name.

// DecodeGenerated decodes what is kept about a generated SBOM.
func DecodeGenerated(b []byte) (*Generated, error) {
	r, p := new(Generated), store.ReadPlain(b)
	if r.read(&p) {
		return r, nil
	}
	r = new(Generated)
	return r, json.Unmarshal(b, r)
}

func (r *Generated) read(p *store.Plain) bool {
	for p.Enter('{'); p.More('}'); {
		switch p.Key() {
		case "failed":
			r.Failed = p.Text()
		case "summary":
			r.Summary = readSummary(p)
		case "docs":
			r.Docs = map[sbom.Format]store.Digest{}
			for p.Enter('{'); p.More('}'); {
				format := sbom.Format(p.Key())
				r.Docs[format] = store.Digest(p.Text())
			}
		case "attached":
			r.Attached = p.Digests()
		case "by":
			r.By = p.Text()
		case "renewed":
			r.Renewed = p.Bool()
		case "old":
			r.Old = p.Digests()
		case "at":
			r.At = p.Time()
		default:
			p.Fail()
		}
	}
	return p.End()
}

func readSummary(p *store.Plain) (s sbom.Summary) {
	for p.Enter('{'); p.More('}'); {
		switch p.Key() {
		case "generator":
			s.Generator = p.Text()
		case "created":
			s.Created = p.Time()
		case "distro":
			s.Distro = p.Text()
		case "distro_version":
			s.DistroVer = p.Text()
		case "packages":
			s.Packages = int(p.Int())
		case "by_type":
			s.ByType = p.Counts()
		case "by_license":
			s.ByLicense = p.Counts()
		case "unlicensed":
			s.Unlicensed = int(p.Int())
		case "diff_ids":
			s.DiffIDs = p.Text()
		default:
			p.Fail()
		}
	}
	return s
}

// read decodes what was read of an image's documents.
func (in *Record) read(p *store.Plain) bool {
	for p.Enter('{'); p.More('}'); {
		switch p.Key() {
		case "work":
			in.Work = p.Text()
		case "origin":
			in.Origin = p.Text()
		case "declared":
			in.Declared = p.Text()
		case "format":
			in.Format = p.Text()
		case "summary":
			s := readSummary(p)
			in.Summary = &s
		case "found":
			in.Found = p.Text()
		case "drift":
			in.Drift = readDrift(p)
		case "failed":
			in.Failed = p.Text()
		default:
			p.Fail()
		}
	}
	return p.End()
}

func readDrift(p *store.Plain) *Drift {
	d := new(Drift)
	for p.Enter('{'); p.More('}'); {
		switch p.Key() {
		case "declared":
			d.Declared = p.Text()
		case "signer":
			d.Signer = p.Text()
		case "absent":
			d.Absent = int(p.Int())
		case "undeclared":
			d.Undeclared = int(p.Int())
		case "absent_list":
			d.AbsentList = p.Texts()
		case "undeclared_list":
			d.UndeclaredList = p.Texts()
		default:
			p.Fail()
		}
	}
	return d
}
