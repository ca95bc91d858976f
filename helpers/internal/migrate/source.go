package migrate

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"unicode/utf8"
)

// chunkSize is about how many bytes of a file are held at once. Nearly every
// file is one chunk; a larger one is read, parsed and sent chunk by chunk.
const chunkSize = 256 << 10

// source reads a file as it is sent: its bytes, without a byte order mark. The
// checksum is that of the text with LF at the ends of lines, which a work tree of
// another system changes.
type source struct {
	file *os.File
	in   *bufio.Reader
	sum  hash.Hash
	line int // of what is read next, from 1
	rest []byte
	eof  bool
}

func openSource(path string) (*source, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	// A thousand small files need no thousand large buffers.
	s := &source{file: file, in: bufio.NewReaderSize(file, int(min(info.Size()+1, 32<<10))), sum: sha256.New(), line: 1}
	if start, _ := s.in.Peek(3); string(start) == "\xef\xbb\xbf" {
		_, _ = s.in.Discard(3)
	}
	return s, nil
}

func (s *source) Close() { _ = s.file.Close() }

// checksum is that of all that was read.
func (s *source) checksum() string { return hex.EncodeToString(s.sum.Sum(nil)) }

// fill reads until rest holds want bytes, or the file's end.
func (s *source) fill(want int) error {
	for len(s.rest) < want && !s.eof {
		part, err := s.in.ReadSlice('\n')
		s.eof = errors.Is(err, io.EOF)
		if err != nil && !s.eof && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		if errors.Is(err, bufio.ErrBufferFull) && part[len(part)-1] == '\r' { // an LF may follow
			_ = s.in.UnreadByte()
			part = part[:len(part)-1]
		}
		s.rest = append(s.rest, part...)
		if line, found := bytes.CutSuffix(part, []byte("\r\n")); found {
			_, _ = s.sum.Write(line)
			part = part[len(part)-1:]
		}
		_, _ = s.sum.Write(part)
	}
	return nil
}

// take gives the first n bytes of rest, and the line that they begin on.
func (s *source) take(n int) (text string, line int) {
	text, line = string(s.rest[:n]), s.line
	s.line += bytes.Count(s.rest[:n], []byte("\n"))
	s.rest = s.rest[:copy(s.rest, s.rest[n:])]
	return text, line
}

// hashOf reads a file for its checksum alone.
func hashOf(path string) (string, error) {
	s, err := openSource(path)
	if err != nil {
		return "", err
	}
	defer s.Close()
	for !s.eof {
		if err := s.fill(chunkSize); err != nil {
			return "", err
		}
		s.rest = s.rest[:0]
	}
	return s.checksum(), nil
}

// chunk is a part of a file that begins and ends between two statements.
type chunk struct {
	text   string
	line   int
	pieces []piece
}

// tries is how many ends of a chunk are tried before more is read: a semicolon at
// the end of a line may also stand in a string.
const tries = 16

// next reads a chunk. Where it ends is PostgreSQL's parser's decision: a
// candidate counts only if all before it parses, and ends with a semicolon that
// ends a statement. It gives io.EOF after the last one.
func (s *source) next(size int) (chunk, error) {
	for want := size; ; want *= 2 {
		if err := s.fill(want); err != nil {
			return chunk{}, err
		}
		if s.eof && len(s.rest) == 0 {
			return chunk{}, io.EOF
		}
		if s.eof {
			return s.chunk(len(s.rest))
		}
		for cut, n := len(s.rest), 0; n < tries; n++ {
			if cut = lineEnd(s.rest[:cut]); cut < 0 {
				break
			}
			if found, err := s.chunk(cut); err == nil {
				return found, nil
			}
			cut--
		}
	}
}

// lineEnd gives the end of the last line that ends with a semicolon, or -1.
func lineEnd(text []byte) int {
	for end := bytes.LastIndexByte(text, '\n'); end > 0; end = bytes.LastIndexByte(text[:end], '\n') {
		if bytes.HasSuffix(bytes.TrimSuffix(text[:end], []byte{'\r'}), []byte{';'}) {
			return end + 1
		}
	}
	return -1
}

// chunk takes the first bytes of rest as one, if they are whole statements.
func (s *source) chunk(cut int) (chunk, error) {
	if at := badByte(s.rest[:cut]); at >= 0 {
		what := "is not UTF-8"
		if s.rest[at] == 0 {
			what = "holds a NUL byte"
		}
		return chunk{}, errorAt{s.line + bytes.Count(s.rest[:at], []byte("\n")), 0, what}
	}
	pieces, err := split(string(s.rest[:cut]))
	var at errorAt
	if errors.As(err, &at) {
		at.line += s.line - 1
		return chunk{}, at
	}
	if err != nil {
		return chunk{}, err
	}
	if whole := s.eof && cut == len(s.rest); !whole && (len(pieces) == 0 || !pieces[len(pieces)-1].ended) {
		return chunk{}, errorAt{s.line, 0, "a statement has no end"}
	}
	text, line := s.take(cut)
	return chunk{text, line, pieces}, nil
}

func badByte(text []byte) int {
	nul := bytes.IndexByte(text, 0)
	if nul < 0 && utf8.Valid(text) {
		return -1
	}
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if text[i] == 0 || r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return nul
}

// errorAt is what is wrong at a place in a file.
type errorAt struct {
	line, column int // from 1; column 0 where only the line is known
	what         string
}

func (e errorAt) Error() string {
	if e.column == 0 {
		return fmt.Sprintf("%d: %s", e.line, e.what)
	}
	return fmt.Sprintf("%d:%d: %s", e.line, e.column, e.what)
}
