package doctor

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/verify"
)

// soon is how long before its end the doctor warns about material.
const soon = 30 * 24 * time.Hour

// ending is material with an end.
type ending struct {
	what string
	at   time.Time
}

// materialLasts looks for what authorities were configured with and has run out, or will.
func materialLasts(_ context.Context, a *cli.App, cfg *config.Config) []finding {
	var found []finding
	for _, au := range cfg.Trust() {
		name := "authority " + au.Name
		worst := finding{name, fine, fmt.Sprintf("kind %s for %s", au.Kind, cli.Patterns(au.Repositories))}
		if len(au.Attests) > 0 {
			worst.Detail += ", attests " + strings.Join(au.Attests, ", ")
		}
		for _, e := range endings(au) {
			switch left := e.at.Sub(a.Clock()); {
			case left <= 0:
				found = append(found, finding{name, warning, fmt.Sprintf("%s ended %s", e.what, cli.Moment(e.at))})
				worst.Status = ""
			case left < soon:
				found = append(found, finding{name, warning, fmt.Sprintf("%s ends %s", e.what, cli.Moment(e.at))})
				worst.Status = ""
			}
		}
		if worst.Status != "" {
			found = append(found, worst)
		}
	}
	return found
}

// endings are the ends of what an authority holds. Certificates of a sigstore root are judged at the time of signing, so that one that ended long ago is no news: only
// the last that a certificate authority has is told.
func endings(au verify.Authority) []ending {
	var all []ending
	for _, k := range au.Keys {
		if !k.NotAfter.IsZero() {
			all = append(all, ending{"key " + cli.Short(k.ID), k.NotAfter})
		}
	}
	for _, p := range []struct{ what, text string }{{"certificate", au.Roots}, {"timestamp certificate", au.TimestampRoots}, {"revocation list", au.CRLs}} {
		all = append(all, pemEndings(p.what, p.text)...)
	}
	if e := rootEnding(au.TrustedRoot); !e.at.IsZero() {
		all = append(all, e)
	}
	return all
}

func pemEndings(what, text string) (all []ending) {
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return all
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			all = append(all, ending{what + " " + cert.Subject.String(), cert.NotAfter})
		} else if list, err := x509.ParseRevocationList(block.Bytes); err == nil && !list.NextUpdate.IsZero() {
			all = append(all, ending{what + " of " + list.Issuer.String(), list.NextUpdate})
		}
	}
}

// rootEnding is when the last certificate authority of a trusted root ends: from then on nobody can sign under it.
func rootEnding(text string) (last ending) {
	var root struct {
		CertificateAuthorities []struct {
			CertChain struct {
				Certificates []struct {
					RawBytes string `json:"rawBytes"`
				} `json:"certificates"`
			} `json:"certChain"`
		} `json:"certificateAuthorities"`
	}
	if json.Unmarshal([]byte(text), &root) != nil {
		return last
	}
	for _, ca := range root.CertificateAuthorities {
		end := ending{}
		for _, c := range ca.CertChain.Certificates {
			der, err := base64.StdEncoding.DecodeString(c.RawBytes)
			if err != nil {
				continue
			}
			if cert, err := x509.ParseCertificate(der); err == nil && (end.at.IsZero() || cert.NotAfter.Before(end.at)) {
				end = ending{"the last certificate authority of its trusted root, " + cert.Subject.String() + ",", cert.NotAfter}
			}
		}
		if end.at.After(last.at) {
			last = end
		}
	}
	return last
}
