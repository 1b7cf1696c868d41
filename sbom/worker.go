package sbom

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/store"
)

// WorkerOptions say how the worker program is run. The zero value of each field is a sensible default.
type WorkerOptions struct {
	Path      string        // of assay-sbom; "" is beside the running program, else in PATH
	Memory    int64         // bytes one worker may use; 0 is 512 MiB
	Timeout   time.Duration // of one image; 0 is 60 s
	MaxOutput int64         // bytes of all documents of one image; 0 is 80 MiB
	Parallel  int           // workers at once; 0 is 1
	// Scratch is the directory under which a worker gets a private, empty one for the moments when a cataloguer insists on a file (RPM databases,
	// nested Java archives). "" is /dev/shm, which is memory, if that can be written, else the system's temporary directory.
	Scratch string
	// MaxScratch is what all its files there may amount to, in bytes; 0 is 512 MiB.
	MaxScratch int64
	// Views keeps what was learned of layers, so that the next image on them costs little; nil keeps nothing.
	Views *Views
	Log   *slog.Logger // nil discards
}

// Worker makes SBOMs in a child process per image: assay-sbom, with limits on memory, time and output. It is safe for concurrent use.
type Worker struct {
	opts  WorkerOptions
	slots chan struct{}
}

var _ Generator = (*Worker)(nil)

// workerProgram is the file name of the worker.
const workerProgram = "assay-sbom"

// NewWorker finds the worker program and removes what dead processes of this name left in the scratch directory. It starts nothing.
func NewWorker(o WorkerOptions) (*Worker, error) {
	path, err := findWorker(o.Path)
	if err != nil {
		return nil, err
	}
	o.Path = path
	o.Memory = orDefault(o.Memory, 512<<20)
	o.Timeout = orDefault(o.Timeout, time.Minute)
	o.MaxOutput = orDefault(o.MaxOutput, 2*MaxDocument)
	o.MaxScratch = orDefault(o.MaxScratch, 512<<20)
	o.Parallel = orDefault(o.Parallel, 1)
	if o.Scratch == "" {
		o.Scratch = defaultScratch()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	sweepScratch(o.Scratch)
	return &Worker{opts: o, slots: make(chan struct{}, o.Parallel)}, nil
}

func orDefault[T int | int64 | time.Duration](v, d T) T {
	if v <= 0 {
		return d
	}
	return v
}

// Path is the worker program that is used, for diagnosis.
func (w *Worker) Path() string { return w.opts.Path }

func findWorker(path string) (string, error) {
	if path == "" {
		if self, err := os.Executable(); err == nil {
			if p := filepath.Join(filepath.Dir(self), workerProgram); isProgram(p) {
				return p, nil
			}
		}
		p, err := exec.LookPath(workerProgram)
		if err != nil {
			return "", fmt.Errorf("%s is neither beside this program nor in PATH; install it or set sbom.worker to its path", workerProgram)
		}
		path = p
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if !isProgram(path) {
		return "", fmt.Errorf("%s is no program that can be run; set sbom.worker to the path of %s", path, workerProgram)
	}
	return path, nil
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// Generate makes the documents of one platform manifest. It waits for a free worker. A reason that lies in the image is final; when the worker
// was killed, ran out of time or memory, or the storage failed, the error wraps ErrRetry. The end of ctx kills the worker and all it started.
func (w *Worker) Generate(ctx context.Context, r Request) (*Result, error) {
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrRetry, context.Cause(ctx))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, w.opts.Timeout, fmt.Errorf("it took longer than %s", w.opts.Timeout))
	defer cancel()
	result, err := w.generate(ctx, r, w.opts.Views)
	if errors.Is(err, errBadView) {
		result, err = w.generate(ctx, r, nil)
	}
	if err != nil {
		w.opts.Log.Warn("no SBOM was made", "repository", r.Repository, "digest", r.Subject.Digest, "retry", errors.Is(err, ErrRetry), "reason", err)
		return nil, err
	}
	return result, nil
}

// generate runs one child over an image. Views that it cannot use are dropped.
func (w *Worker) generate(ctx context.Context, r Request, views *Views) (*Result, error) {
	in, err := openInputs(ctx, r, views)
	if err != nil {
		return nil, err
	}
	defer in.close()
	result, err := w.run(ctx, in)
	if errors.Is(err, errBadView) {
		for _, d := range in.layers {
			views.Drop(d)
		}
	}
	return result, err
}

// errBadView is the answer of a worker that cannot use a stored view.
var errBadView = errors.New("a stored view of a layer is damaged")

// ErrBusy is the answer of [Worker.Index] while other work is done: indexing ahead is for idle times.
var ErrBusy = errors.New("the SBOM worker is busy")

// minIndexed is the size from which a layer is worth a view: smaller ones are read in no time.
const minIndexed = 256 << 10

// Index makes the view of one layer ahead of its image, while that is still being uploaded. What is no layer, what has a view, and what is small is left
// alone. It never waits for another worker.
func (w *Worker) Index(ctx context.Context, layer store.Descriptor, open func(context.Context, store.Digest) (*store.Blob, error)) error {
	if w.opts.Views == nil || layer.Size < minIndexed || w.opts.Views.has(layer.Digest) {
		return nil
	}
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
	default:
		return ErrBusy
	}
	ctx, cancel := context.WithTimeoutCause(ctx, w.opts.Timeout, fmt.Errorf("it took longer than %s", w.opts.Timeout))
	defer cancel()
	b, err := open(ctx, layer.Digest)
	if err != nil {
		return err
	}
	in := &inputs{views: w.opts.Views, layers: []store.Digest{layer.Digest}, closers: []io.Closer{b}}
	defer in.close()
	if !looksLikeLayer(b) {
		return nil
	}
	wl, err := in.layer(b)
	if err != nil {
		return err
	}
	wl.WantView = true
	if err := in.seal(WorkerRequest{Version: ProtocolVersion, Subject: store.Descriptor{Digest: layer.Digest, Size: layer.Size}, Index: true, Layers: []WorkerLayer{wl}}); err != nil {
		return err
	}
	in.alone = &viewAlone{}
	_, err = w.run(ctx, in)
	if in.alone.view == nil {
		return err
	}
	if len(in.alone.view)+len(in.alone.found) > MaxView {
		in.alone.found = nil
	}
	return w.opts.Views.put(layer.Digest, append(in.alone.view, in.alone.found...)) // whatever became of the findings
}

// looksLikeLayer reports whether content begins as compressed layers do, and leaves it where it was.
func looksLikeLayer(b *store.Blob) bool {
	head := make([]byte, 4)
	_, err := io.ReadFull(b, head)
	if _, seek := b.Seek(0, io.SeekStart); err != nil || seek != nil {
		return false
	}
	return head[0] == 0x1f && head[1] == 0x8b || string(head) == "\x28\xb5\x2f\xfd"
}

// SweepViews forgets the views of layers that are no longer stored.
func (w *Worker) SweepViews(stored func(layer store.Digest) bool) { w.opts.Views.Sweep(stored) }

// Version is the generator's name and version, which every document carries: another one makes other documents of the same image.
func (w *Worker) Version(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, w.opts.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.opts.Path, "version")
	cmd.Env = []string{}
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: asking for its version: %w", ErrRetry, err)
	}
	return clean(strings.TrimSpace(string(out)), maxLicense), nil
}

// run starts one child, feeds it and reads its answer.
func (w *Worker) run(ctx context.Context, in *inputs) (*Result, error) {
	cmd := exec.CommandContext(ctx, w.opts.Path, "worker", "--memory", strconv.FormatInt(w.opts.Memory, 10), "--timeout", w.opts.Timeout.String(),
		"--scratch", strconv.FormatInt(w.opts.MaxScratch/2, 10))
	cmd.ExtraFiles = in.files
	cmd.Stdin = bytes.NewReader(in.request)
	c, err := w.start(cmd, 16<<10)
	if err != nil {
		return nil, err
	}
	result, failure, readErr := w.read(c.stdout, in)
	if readErr != nil && readErr != io.EOF {
		_ = cmd.Cancel() // it talks nonsense: nothing more is expected of it
	}
	waitErr := c.wait()
	if result != nil && waitErr == nil {
		return result, nil
	}
	return nil, explain(ctx, failure, c.killed.Load(), readErr, waitErr, c.stderr.String())
}

// explain chooses the most telling of what went wrong.
func explain(ctx context.Context, failure *WorkerFailure, killed *string, readErr, waitErr error, stderr string) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", ErrRetry, context.Cause(ctx))
	case failure != nil && failure.BadView:
		return fmt.Errorf("%w: %w", ErrRetry, errBadView)
	case failure != nil && failure.Final:
		return errors.New(failure.Reason)
	case failure != nil:
		return fmt.Errorf("%w: %s", ErrRetry, failure.Reason)
	case killed != nil:
		return fmt.Errorf("%w: %s", ErrRetry, *killed)
	case strings.Contains(stderr, "out of memory") || strings.Contains(stderr, "cannot allocate memory"):
		return fmt.Errorf("%w: it ran out of memory", ErrRetry)
	case readErr != nil && readErr != io.EOF:
		return fmt.Errorf("%w: %w", ErrRetry, readErr)
	case waitErr != nil:
		first, _, _ := strings.Cut(stderr, "\n")
		return fmt.Errorf("%w: %w %s", ErrRetry, waitErr, clean(first, maxLicense))
	default:
		return fmt.Errorf("%w: it ended without an answer", ErrRetry)
	}
}

// read reads the answer: views, and then a failure, or a result and its documents.
func (w *Worker) read(r io.Reader, in *inputs) (*Result, *WorkerFailure, error) {
	kind, b, err := w.readViews(r, in)
	if err != nil {
		return nil, nil, err
	}
	switch kind {
	case FrameFailure:
		var f WorkerFailure
		if err := json.Unmarshal(b, &f); err != nil {
			return nil, nil, err
		}
		f.Reason = strings.ToValidUTF8(f.Reason[:min(len(f.Reason), 500)], "")
		return nil, &f, nil
	case FrameResult:
	default:
		return nil, nil, fmt.Errorf("an unknown frame %q", byte(kind))
	}
	var head WorkerResult
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, nil, err
	}
	out := &Result{Summary: head.Summary}
	left := w.opts.MaxOutput
	for _, f := range head.Formats {
		kind, b, err := ReadFrame(r, left)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, nil, err
		}
		if kind != FrameDocument {
			return nil, nil, fmt.Errorf("frame %q in place of a document", byte(kind))
		}
		left -= int64(len(b))
		out.Documents = append(out.Documents, Document{Format: f, Bytes: b})
	}
	return out, nil, nil
}

// readViews keeps the views that come first and returns the frame after them.
func (w *Worker) readViews(r io.Reader, in *inputs) (FrameKind, []byte, error) {
	for range len(in.layers) + 3 {
		kind, b, err := ReadFrame(r, max(w.opts.MaxOutput, MaxView+4))
		switch {
		case err != nil:
			return 0, nil, err
		case kind == FrameScanned:
			return ReadFrame(r, w.opts.MaxOutput)
		case kind == FrameFound && in.alone != nil && in.alone.view != nil && in.alone.found == nil:
			in.alone.found = b
			continue
		case kind != FrameView:
			return kind, b, nil
		case in.alone != nil && in.alone.view == nil && len(b) > 4: // what comes after it must not change it: cataloguers run
			in.alone.view = b[4:]
			continue
		case in.alone != nil || len(b) < 4 || in.views == nil || int(binary.BigEndian.Uint32(b)) >= len(in.layers):
			return 0, nil, errors.New("a view that nobody asked for")
		}
		if err := in.views.put(in.layers[binary.BigEndian.Uint32(b)], b[4:]); err != nil {
			w.opts.Log.Warn("the view of a layer is not kept; its next image costs more", "reason", err.Error())
		}
	}
	return 0, nil, errors.New("too many views")
}

// inputs are what the child gets.
type inputs struct {
	request []byte
	files   []*os.File
	closers []io.Closer
	views   *Views         // where views come from and go to, or nil
	layers  []store.Digest // whose views may come
	alone   *viewAlone     // of a layer that is read for itself; nil: of an image
}

// viewAlone is what was learned of a layer that was read alone: its view, and what was found in single files of it afterwards, by cataloguers that saw nothing else.
type viewAlone struct{ view, found []byte }

func (in *inputs) close() {
	for _, c := range in.closers {
		c.Close()
	}
}

// maxInline is the size up to which content that lies in no file travels in the request; the rest goes through anonymous memory.
const maxInline = 1 << 20

// maxAnonymous is the size of the largest layer that is copied into memory for the worker.
const maxAnonymous = 512 << 20

// maxConfig is the size of the largest image configuration that is read.
const maxConfig = 8 << 20

// openInputs opens what the manifest references and writes the request.
func openInputs(ctx context.Context, r Request, views *Views) (*inputs, error) {
	var m ocispec.Manifest
	if err := json.Unmarshal(r.Manifest, &m); err != nil {
		return nil, fmt.Errorf("the manifest is not readable: %w", err)
	}
	in := &inputs{views: views}
	req := WorkerRequest{Version: ProtocolVersion, Repository: r.Repository, Subject: r.Subject, Manifest: r.Manifest, Formats: r.Formats}
	if len(req.Formats) == 0 {
		req.Formats = []Format{SPDX}
	}
	req.Subject.Annotations, req.Subject.Data, req.Subject.URLs = nil, nil, nil
	config, err := openBlob(ctx, r, m.Config)
	if err != nil {
		return nil, err
	}
	req.Config, err = readAll(config, maxConfig)
	config.Close()
	if err != nil {
		return nil, err
	}
	for _, l := range m.Layers {
		b, err := openBlob(ctx, r, l)
		if err != nil {
			in.close()
			return nil, err
		}
		in.closers = append(in.closers, b)
		wl, err := in.layer(b)
		if err != nil {
			in.close()
			return nil, err
		}
		in.layers = append(in.layers, l.Digest)
		if views != nil && l.Size >= minIndexed {
			wl.WantView = true
			in.view(&wl, l.Digest)
		}
		req.Layers = append(req.Layers, wl)
	}
	if err := in.seal(req); err != nil {
		in.close()
		return nil, err
	}
	return in, nil
}

// view hands over what is known of a layer.
func (in *inputs) view(wl *WorkerLayer, layer store.Digest) {
	f, v := in.views.open(layer)
	if f == nil {
		return
	}
	in.closers, in.files = append(in.closers, f), append(in.files, f)
	v.FD = 2 + len(in.files)
	wl.View = v
}

// seal writes the request.
func (in *inputs) seal(req WorkerRequest) error {
	payload, err := json.Marshal(req)
	if err != nil {
		return err
	}
	var frame bytes.Buffer
	if err := WriteFrame(&frame, FrameRequest, payload); err != nil {
		return err
	}
	in.request = frame.Bytes()
	return nil
}

// openBlob opens one blob of the manifest. That it is not here is final: the push gate saw to what must be.
func openBlob(ctx context.Context, r Request, d store.Descriptor) (*store.Blob, error) {
	b, err := r.Open(ctx, d.Digest)
	switch {
	case err == nil:
		return b, nil
	case store.CodeOf(err) == store.CodeBlobUnknown && len(d.URLs) > 0:
		return nil, fmt.Errorf("the layer %.19s is kept elsewhere (foreign layer), so its packages are not known", d.Digest)
	case store.CodeOf(err) == store.CodeBlobUnknown:
		return nil, fmt.Errorf("the content %.19s of this image is not stored here", d.Digest)
	default:
		return nil, fmt.Errorf("%w: %w", ErrRetry, err)
	}
}

func readAll(b *store.Blob, max int64) ([]byte, error) {
	out, err := io.ReadAll(io.LimitReader(b, max+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRetry, err)
	}
	if int64(len(out)) > max {
		return nil, fmt.Errorf("the image's configuration has more than %d bytes", max)
	}
	return out, nil
}

// layer hands a layer over: a file by its descriptor, anything else by its bytes.
func (in *inputs) layer(b *store.Blob) (WorkerLayer, error) {
	file, ok := b.ReadSeekCloser.(*os.File)
	if !ok {
		if b.Size <= maxInline {
			content, err := readAll(b, maxInline)
			return WorkerLayer{Inline: content}, err
		}
		if b.Size > maxAnonymous {
			return WorkerLayer{}, fmt.Errorf("the layer %.19s has %d bytes and lies in no local file; at most %d are read from elsewhere", b.Digest, b.Size, int64(maxAnonymous))
		}
		var err error
		if file, err = anonymousFile(b); err != nil {
			return WorkerLayer{}, fmt.Errorf("%w: %w", ErrRetry, err)
		}
		in.closers = append(in.closers, file)
	}
	in.files = append(in.files, file)
	return WorkerLayer{FD: 2 + len(in.files)}, nil
}
