package waivercmd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/cmd/assay/docker"
	"github.com/assay-registry/assay/cmd/assay/signcmd"
	"github.com/assay-registry/assay/policy/waiver"
	"github.com/assay-registry/assay/policy/waiverkeep"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/assay-registry/assay/verify/signer"
)

// Command is assay waiver.
func Command(a *cli.App) *cobra.Command {
	c := cli.Group(&cobra.Command{
		Use: "waiver", Short: "Except from policies for a time, by a signed document that somebody answers for",
		Long: `Except from policies for a time, by a signed document that somebody answers for.
A waiver names codes of refusals, what it is about, why, who approved it, and until when.
It counts by its signature alone, if waivers.authorities of the configuration names who
signed it. cosign signs one, too: assay waiver push shows how.`,
		Example: `  assay waiver make W-7 --code vuln.threshold --repository acme/app --reason 'fixed in v2' \
      --approver alice --for 72h > w-7.json
  assay waiver sign w-7.json --key security.key > w-7.signed.json
  assay waiver push w-7.signed.json acme/app`,
	})
	c.AddCommand(waiverMake(a), waiverSign(a), waiverPush(a), waiverList(a), waiverShow(a), waiverRevoke(a))
	return c
}

func waiverMake(a *cli.App) *cobra.Command {
	var w waiver.Waiver
	var repositories, digests []string
	from, until, lasts, glass := "", "", time.Duration(0), false
	c := &cobra.Command{
		Use: "make ID --code CODE --repository PATTERN --reason TEXT --approver NAME --for DURATION", Short: "Write the document of a waiver", Args: cli.Exactly("ID"),
		RunE: func(_ *cobra.Command, args []string) error {
			w.ID = args[0]
			if glass {
				if len(w.Codes) > 0 {
					return cli.Usage("--break-glass waives every code; leave --code out")
				}
				w.Codes = []string{waiver.AllCodes}
			}
			for _, r := range repositories {
				w.Match.Repositories = append(w.Match.Repositories, store.Glob(r))
			}
			for _, d := range digests {
				w.Match.Digests = append(w.Match.Digests, store.Digest(d))
			}
			var err error
			if w.NotBefore, w.Expires, err = waiverTimes(a, from, until, lasts); err != nil {
				return err
			}
			if err := w.Validate(); err != nil {
				return err
			}
			if w.Everywhere() {
				fmt.Fprintln(a.Stderr, "assay: the patterns reach repositories that they do not name: the waiver counts once two signed it, each with a key of their own")
			}
			return cli.WriteJSON(a.Stdout, w.Document())
		},
	}
	f := c.Flags()
	f.StringSliceVar(&w.Codes, "code", nil, "code of a refusal, such as signature.missing; may be given several times")
	f.BoolVar(&glass, "break-glass", false, "every code, for at most 24h: loud wherever it is used")
	f.StringSliceVar(&repositories, "repository", nil, "pattern of the repositories, such as acme/app")
	f.StringSliceVar(&digests, "digest", nil, "only these digests; of an index, what it lists too")
	f.StringSliceVar(&w.Match.Policies, "policy", nil, "only denials of these policies")
	f.StringVar(&w.Reason, "reason", "", "why, in one sentence")
	f.StringVar(&w.Ticket, "ticket", "", "where it is followed")
	f.StringVar(&w.Approver, "approver", "", "who answers for it")
	f.DurationVar(&lasts, "for", 0, "how long it lasts, such as 72h")
	f.StringVar(&until, "expires", "", "until when, such as 2026-12-31T00:00:00Z, in the place of --for")
	f.StringVar(&from, "not-before", "", "from when; default: now")
	return c
}

// waiverTimes are when a waiver begins and ends.
func waiverTimes(a *cli.App, from, until string, lasts time.Duration) (begin, end time.Time, err error) {
	begin = a.Clock().UTC().Truncate(time.Second)
	if from != "" {
		if begin, err = time.Parse(time.RFC3339, from); err != nil {
			return begin, end, cli.Usage("--not-before is a time such as 2026-12-31T00:00:00Z")
		}
	}
	switch {
	case (until == "") == (lasts == 0):
		return begin, end, cli.Usage("say how long it lasts: --for 72h, or --expires with a time; no waiver lasts for ever")
	case lasts != 0:
		return begin.UTC(), begin.Add(lasts).UTC(), nil
	}
	if end, err = time.Parse(time.RFC3339, until); err != nil {
		return begin, end, cli.Usage("--expires is a time such as 2026-12-31T00:00:00Z")
	}
	return begin.UTC(), end.UTC(), nil
}

// waiverFile reads a document, or a signed one.
func waiverFile(a *cli.App, file string) (w *waiver.Waiver, subject store.Digest, bundle []byte, err error) {
	text, err := a.ReadFile(file, verify.MaxAttestation)
	if err != nil {
		return nil, "", nil, err
	}
	st, bundleErr := verify.StatementIn(verify.SchemeBundle, text)
	if bundleErr != nil {
		w, err = waiver.Parse(text)
		return w, "", nil, err
	}
	if st.PredicateType != verify.PredicateWaiver || len(st.Subjects) != 1 {
		return nil, "", nil, fmt.Errorf("%s is signed, and no waiver", file)
	}
	if w, err = waiver.Parse(st.Predicate); err != nil {
		return nil, "", nil, err
	}
	subject, err = store.ParseDigest("sha256:" + st.Subjects[0].Digest["sha256"])
	return w, subject, text, err
}

func waiverSign(a *cli.App) *cobra.Command {
	key := ""
	c := &cobra.Command{
		Use: "sign FILE --key FILE", Short: "Sign the document of a waiver with a key file", Args: cli.Exactly("FILE"),
		Long: `Sign the document of a waiver with a key file, as a Sigstore bundle, without any server. One
that reaches all repositories is signed by two: each signs the document, and both
results are pushed.`,
		RunE: func(_ *cobra.Command, args []string) error {
			w, _, signed, err := waiverFile(a, args[0])
			if err != nil {
				return err
			}
			if signed != nil {
				return fmt.Errorf("%s is signed already; sign the document that assay waiver make wrote", args[0])
			}
			k, err := signcmd.SigningKey(a, key)
			if err != nil {
				return err
			}
			carrier, _, _ := w.Carrier()
			at, err := k.AttestBundle(signer.Subject{Descriptor: carrier}, verify.PredicateWaiver, w.Document(), a.Clock())
			if err != nil {
				return err
			}
			return cli.WriteJSON(a.Stdout, at.Blobs[1])
		},
	}
	c.Flags().StringVar(&key, "key", "", "file of the private key: assay's, cosign's, or plain PEM")
	_ = c.MarkFlagFilename("key", "key", "pem")
	return c
}

func waiverPush(a *cli.App) *cobra.Command {
	c := &cobra.Command{
		Use: "push FILE REPOSITORY", Short: "Push a waiver: signed, or its document for cosign to sign", Args: cli.Exactly("FILE", "REPOSITORY"),
		Long: `Push a waiver. A signed one counts from then on, in whichever repository it lies. The
document by itself is pushed as an artifact, so that cosign has something to sign:
  cosign attest --key KEY --type ` + verify.PredicateWaiver + ` --predicate FILE REFERENCE`,
		RunE: func(c *cobra.Command, args []string) error {
			w, subject, signed, err := waiverFile(a, args[0])
			if err != nil {
				return err
			}
			ref, err := docker.ParseRef(args[1] + ":waiver")
			if err != nil {
				return cli.Usage("%q is no repository", args[1])
			}
			server, err := a.Connect(c.Context(), ref.Host)
			if err != nil {
				return err
			}
			if signed == nil {
				return pushWaiverDocument(a, c.Context(), server, ref.Repository, w, args[0])
			}
			return pushWaiver(a, c.Context(), server, ref.Repository, w, subject, signed)
		},
	}
	return a.WithServer(a.WithOutput(c))
}

// pushedWaiver is what a person and a script are told.
type pushedWaiver struct {
	ID        string       `json:"id"`
	Subject   store.Digest `json:"subject"`
	Evidence  store.Digest `json:"evidence,omitempty"`
	Reference string       `json:"reference"` // of the document
	State     string       `json:"state,omitempty"`
	Why       string       `json:"why,omitempty"`
}

// pushWaiverDocument pushes the document as an artifact.
func pushWaiverDocument(a *cli.App, ctx context.Context, server *client.Client, repo store.Name, w *waiver.Waiver, file string) error {
	d, err := putCarrier(ctx, server, repo, w)
	if err != nil {
		return err
	}
	out := pushedWaiver{ID: w.ID, Subject: d, Reference: cli.WithHost(server, string(repo)+"@"+string(d))}
	return a.PrintValue(out, func() error {
		return a.Say("pushed: the document of %s, which waives nothing until it is signed\ncosign attest --key KEY --type %s --predicate %s %s", w.ID, verify.PredicateWaiver, file, out.Reference)
	})
}

func putCarrier(ctx context.Context, server *client.Client, repo store.Name, w *waiver.Waiver) (store.Digest, error) {
	d, manifest, blobs := w.Carrier()
	for _, b := range blobs {
		if _, err := server.PutBlob(ctx, repo, b); err != nil {
			return "", err
		}
	}
	_, err := server.PutManifest(ctx, repo, store.Reference{}, d.MediaType, manifest)
	return d.Digest, err
}

// pushWaiver pushes a signed waiver as a referrer of what it is about. Its document goes along where the caller may push one.
func pushWaiver(a *cli.App, ctx context.Context, server *client.Client, repo store.Name, w *waiver.Waiver, about store.Digest, signed []byte) error {
	subject, _, _ := w.Carrier()
	if about == subject.Digest {
		if _, err := putCarrier(ctx, server, repo, w); err != nil && !forbidden(err) {
			return err
		}
	} else {
		m, err := server.Get(ctx, repo, store.Reference{Digest: about})
		if err != nil {
			return err
		}
		subject = m.Descriptor
	}
	at, err := signer.Referrer(signer.Subject{Descriptor: subject}, signed, verify.PredicateWaiver, a.Clock())
	if err != nil {
		return err
	}
	d, err := signcmd.Publish(a, ctx, server, repo, signer.Subject{Descriptor: subject}, at)
	if err != nil {
		return err
	}
	out := pushedWaiver{ID: w.ID, Subject: subject.Digest, Evidence: d, Reference: cli.WithHost(server, string(repo)+"@"+string(subject.Digest))}
	if list, err := server.Waiver(ctx, w.ID); err == nil && len(list.Value.Waivers) > 0 { // only administrators may ask
		out.State, out.Why = string(list.Value.Waivers[0].State), list.Value.Waivers[0].Why
	}
	return a.PrintValue(out, func() error {
		if out.Why != "" {
			return a.Say("pushed: %s\n%s", w.ID, out.Why)
		}
		return a.Say("pushed: %s", w)
	})
}

// forbidden reports whether the server does not allow something.
func forbidden(err error) bool {
	e, ok := errors.AsType[*client.StatusError](err)
	return ok && e.Status == http.StatusForbidden
}

func waiverList(a *cli.App) *cobra.Command {
	all := false
	c := &cobra.Command{
		Use: "list", Short: "List the waivers that count; --all lists the others too", Args: cli.Exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			return cli.Asked(a, c.Context(), (*client.Client).Waivers, func(list *client.Waivers) error {
				var rows [][]string
				for _, w := range list.Waivers {
					if all || w.State == waiverkeep.Active || w.State == waiverkeep.Early {
						rows = append(rows, []string{w.ID, string(w.State), strings.Join(w.Codes, ","), cli.Patterns(w.Match.Repositories), cli.Moment(w.Expires), w.Approver, w.Reason})
					}
				}
				return cli.Table(a.Stdout, []string{"ID", "STATE", "CODES", "REPOSITORIES", "EXPIRES", "APPROVER", "REASON"}, rows)
			})
		},
	}
	c.Flags().BoolVar(&all, "all", false, "also those that expired, were revoked, or do not count yet")
	return a.WithServer(a.WithOutput(c))
}

func waiverShow(a *cli.App) *cobra.Command {
	return a.WithServer(a.WithOutput(&cobra.Command{
		Use: "show ID", Short: "Show a waiver: what it says, who signed it, whether it counts", Args: cli.Exactly("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := cli.PathWord("the ID of a waiver", args[0]); err != nil {
				return err
			}
			return cli.Asked(a, c.Context(), func(s *client.Client, ctx context.Context) (*client.Answer[client.Waivers], error) {
				return s.Waiver(ctx, args[0])
			}, func(list *client.Waivers) error {
				for _, w := range list.Waivers {
					if err := shownWaiver(a, w); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}))
}

func shownWaiver(a *cli.App, w waiverkeep.View) error {
	var b strings.Builder
	field := func(name, value string) {
		if value = cli.Printable(value); value != "" {
			fmt.Fprintf(&b, "%-13s %s\n", name, value)
		}
	}
	field("waiver", w.ID)
	field("state", string(w.State))
	field("why", w.Why)
	field("codes", strings.Join(w.Codes, ", "))
	field("repositories", cli.Patterns(w.Match.Repositories))
	for _, d := range w.Match.Digests {
		field("digest", string(d))
	}
	field("policies", strings.Join(w.Match.Policies, ", "))
	field("reason", w.Reason)
	field("ticket", w.Ticket)
	field("approver", w.Approver)
	field("from", cli.Moment(w.NotBefore))
	field("until", cli.Moment(w.Expires))
	for _, s := range w.Signed {
		field("signed by", s.Authority+" ("+cli.Short(s.Signer)+")")
	}
	if r := w.Revocation; r != nil {
		field("revoked", cli.Moment(r.At)+" by "+r.By+": "+r.Reason)
	}
	return a.Say("%s", strings.TrimRight(b.String(), "\n"))
}

func waiverRevoke(a *cli.App) *cobra.Command {
	reason := ""
	c := &cobra.Command{
		Use: "revoke ID --reason TEXT", Short: "End a waiver for good, whoever pushes it again", Args: cli.Exactly("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			if reason == "" {
				return cli.Usage("--reason is missing: whoever reads the audit wants it")
			}
			return a.Act(c, cli.PathWord("the ID of a waiver", args[0]), func(server *client.Client) error {
				_, err := server.RevokeWaiver(c.Context(), args[0], reason)
				return err
			}, "revoked for good: %s", args[0])
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, in one sentence")
	return a.WithServer(a.WithOutput(c))
}
