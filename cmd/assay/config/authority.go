package config

import (
	"github.com/assay-registry/assay/cmd/assay/settings"
)

// Authority is someone who is trusted for something. Which keys a kind looks at is in material.go.
type Authority struct {
	Name      string        `yaml:"name" need:"yes" doc:"Name by which policies and explanations speak of it."`
	Kind      string        `yaml:"kind" need:"yes" enum:"key,sigstore,x509,notation,tuf" doc:"How it signs: key is a public key, sigstore a short-lived certificate for an identity (keyless), x509 a certificate of a private PKI, notation the Notary Project; tuf is a TUF repository that pins tags and supplies keys, roots and policies."`
	Key       string        `yaml:"key" doc:"Kind key: PEM file with a public key (SubjectPublicKeyInfo)."`
	NotBefore settings.Date `yaml:"not_before" doc:"The key counts from this time on."`
	NotAfter  settings.Date `yaml:"not_after" doc:"The key counts until this time."`
	Keys      []KeyFile     `yaml:"keys" doc:"Kind key: more keys, each with its own window."`

	TrustedRoot    string `yaml:"trusted_root" doc:"Kind sigstore: trusted_root.json of the instance (certificate authorities, logs, timestamping authorities). Kinds key and x509: the same where the profile asks for log entries or timestamps."`
	TUF            string `yaml:"tuf" doc:"Kinds key and sigstore: name of the authority of kind tuf whose targets trust/NAME/ are the keys or the trusted root of this one."`
	Roots          string `yaml:"roots" doc:"Kind x509: PEM file with the roots of the PKI, and intermediates that signatures do not bring along."`
	Certificates   string `yaml:"certificates" doc:"Kind notation: PEM file with the trust store, CA certificates or signing certificates."`
	TimestampRoots string `yaml:"timestamp_roots" doc:"Kinds x509 and notation: PEM file with the certificates of the timestamping authorities (RFC 3161)."`
	CRLs           string `yaml:"crls" doc:"Kinds x509 and notation: PEM file with revocation lists. Nothing is ever fetched."`

	Identities []Identity `yaml:"identities" doc:"Who may have signed: one of these. Kinds sigstore, x509 and notation need at least one."`
	Profile    Profile    `yaml:"profile" doc:"What a signature must bring along. What is not given is the kind's default: 1 of each for sigstore, 1 timestamp for x509 with timestamp_roots, else 0."`
	Revoked    Revoked    `yaml:"revoked" doc:"What counts no more, whatever it signed."`

	Root     string            `yaml:"root" doc:"Kind tuf: the first trusted root.json, from a source that you trust."`
	Source   string            `yaml:"source" doc:"Kind tuf: where the metadata comes from: https://HOST/PATH, dir:PATH, tar:PATH, or oci:REPOSITORY of this registry."`
	Refresh  settings.Duration `yaml:"refresh" doc:"Kind tuf: how often the source is asked; 10m if not given."`
	Networks []string          `yaml:"source_networks" doc:"Kind tuf: private networks that the host of the source may be in, such as 10.0.0.0/8. Without them it is public, or an address that the source names itself."`
	Expired  string            `yaml:"expired" enum:"refuse,warn" doc:"Kind tuf: what follows when the metadata ran out; refuse if not given."`

	Repositories []string `yaml:"repositories" need:"yes" doc:"Patterns of the repositories for which it speaks."`
	Binding      string   `yaml:"binding" enum:"repository,none" doc:"repository compares the repository that a signature names with the one that holds it; none does not."`
	Attests      []string `yaml:"attests" doc:"What it is trusted for: signatures, provenance, sbom, vex (what of a vulnerability matters), vulnerabilities (reports of scanners), other, and types of predicates, exact or with * and **. Without it all but vex and vulnerabilities."`
	PromoteFrom  []string `yaml:"promote_from" doc:"Patterns of repositories whose signatures are accepted too, for content that is copied on."`
}

// KeyFile is one key file with its window.
type KeyFile struct {
	File      string        `yaml:"file" need:"yes" doc:"PEM file with a public key."`
	NotBefore settings.Date `yaml:"not_before" doc:"The key counts from this time on."`
	NotAfter  settings.Date `yaml:"not_after" doc:"The key counts until this time."`
}

// Identity is who may have signed; all that is given must match.
type Identity struct {
	Issuer        string `yaml:"issuer" doc:"Kind sigstore: issuer of the identity, exact or with * (within a component) and ** (any components)."`
	IssuerRegexp  string `yaml:"issuer_regexp" doc:"The same as a regular expression (RE2) that matches the whole."`
	Subject       string `yaml:"subject" doc:"Subject: a URI, an e-mail address, or CN=..,O=.. of a certificate; exact or with * and **."`
	SubjectRegexp string `yaml:"subject_regexp" doc:"The same as a regular expression (RE2) that matches the whole."`
}

// Profile is what a signature must bring along.
type Profile struct {
	Tlog       settings.Count `yaml:"tlog" doc:"Proven entries of different transparency logs."`
	Timestamps settings.Count `yaml:"timestamps" doc:"Trusted times: log entries with a time, or RFC 3161 timestamps."`
	SCT        settings.Count `yaml:"sct" doc:"Timestamps of certificate logs (RFC 6962), which Fulcio certificates carry."`
}

// Revoked is what counts no more.
type Revoked struct {
	Keys       []string          `yaml:"keys" doc:"IDs of keys: sha256: and 64 hexadecimal digits."`
	Serials    []string          `yaml:"serials" doc:"Serial numbers of certificates in hexadecimal, colons allowed."`
	Identities []string          `yaml:"identities" doc:"Subjects of certificates, each exact."`
	LogIndexes []settings.Number `yaml:"log_indexes" doc:"Indexes of entries in a transparency log."`
}

// SetDefaults is what a list's element starts from.
func (a *Authority) SetDefaults() { a.Binding = "repository" }
