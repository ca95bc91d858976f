package registry

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// layer is one layer in the tar. What is compressed there is pushed as it is;
// what is not is compressed on the way, once to know its digest and once to send
// it, so that no copy is kept.
type layer struct {
	archive    *archive
	entry      entry
	docker     bool          // docker save's form, which names no digest
	compress   bool          // it is not compressed in the tar
	descriptor v1.Descriptor // as it is pushed
}

const chunk = 256 << 10

// check reads the layer to its end, and fills its descriptor where the tar has none.
func (l *layer) check(ctx context.Context, diffID v1.Hash) error {
	raw, plain := sha256.New(), sha256.New()
	in := bufio.NewReaderSize(io.TeeReader(&stoppable{ctx, l.archive.section(l.entry)}, raw), chunk)
	start, _ := in.Peek(4)
	var err error
	size := l.entry.size
	switch {
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}):
		err = unpackGzip(plain, in)
	case bytes.HasPrefix(start, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		if l.docker {
			return errors.New("it is compressed with zstd, for which docker save's form has no name: write an OCI layout")
		}
		err = unpackZstd(plain, in)
	case l.docker:
		l.compress = true
		raw = sha256.New()
		counted := &counter{Writer: raw}
		err = pack(counted, io.TeeReader(&stoppable{ctx, l.archive.section(l.entry)}, plain))
		size = counted.count
	default:
		_, err = copyAll(plain, in)
	}
	if err != nil {
		return fmt.Errorf("it is damaged: %w", err)
	}
	if !l.compress {
		if _, err := copyAll(io.Discard, in); err != nil { // what follows the compressed part
			return err
		}
	}
	if got := hashOf(plain); got != diffID {
		return fmt.Errorf("its content is %s, and the configuration names %s", got, diffID)
	}
	got := v1.Descriptor{MediaType: types.DockerLayer, Digest: hashOf(raw), Size: size}
	if l.docker {
		l.descriptor = got
	} else if got.Digest != l.descriptor.Digest {
		return fmt.Errorf("it is %s, and the manifest names %s", got.Digest, l.descriptor.Digest)
	}
	return nil
}

// open gives the layer as it is pushed, from an offset on.
func (l *layer) open(ctx context.Context, offset int64) (io.ReadCloser, error) {
	if !l.compress {
		section := l.archive.section(l.entry)
		if _, err := section.Seek(offset, io.SeekStart); err != nil {
			return nil, err
		}
		return io.NopCloser(section), nil
	}
	reader, writer := io.Pipe()
	go func() {
		buffered := bufio.NewWriterSize(writer, chunk)
		err := pack(buffered, &stoppable{ctx, l.archive.section(l.entry)})
		if err == nil {
			err = buffered.Flush()
		}
		writer.CloseWithError(err)
	}()
	if _, err := io.CopyN(io.Discard, reader, offset); err != nil {
		reader.Close()
		return nil, err
	}
	return reader, nil
}

func unpackGzip(out io.Writer, in io.Reader) error {
	unpacked, err := gzip.NewReader(in)
	if err != nil {
		return err
	}
	_, err = copyAll(out, unpacked)
	return err
}

// unpackZstd takes the windows that container runtimes take, whose library this is
// (zstd --ultra -22 and --long=27 make 128 MB), and holds at most one window a layer.
func unpackZstd(out io.Writer, in io.Reader) error {
	unpacked, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(zstd.MaxWindowSize))
	if err != nil {
		return err
	}
	defer unpacked.Close()
	_, err = copyAll(out, unpacked)
	return err
}

// pack compresses the same bytes to the same bytes each time.
func pack(out io.Writer, in io.Reader) error {
	packed, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if _, err := copyAll(packed, in); err != nil {
		return err
	}
	return packed.Close()
}

func copyAll(out io.Writer, in io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{in}, make([]byte, chunk))
}

func hashOf(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", h.Sum(nil))}
}

// stoppable reads until the context ends.
type stoppable struct {
	ctx context.Context
	in  io.Reader
}

func (s *stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.in.Read(p)
}

type counter struct {
	io.Writer
	count int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.count += int64(n)
	return n, err
}
