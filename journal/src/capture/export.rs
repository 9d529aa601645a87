//! Writing captures.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use journal_schema::SCHEMA_VERSION;
use journal_schema::codec;
use journal_schema::entry::Entry;
use journal_schema::event::Event;
use journal_schema::units::Timestamp;

use super::{CaptureError, Captured, FLAG_ZSTD, Head, TRAILER_BYTES, WINDOW_LOG};
use crate::Source;
use crate::error::IoError;
use crate::frame::{FrameHead, kind_number, write_entry};
use crate::id::JournalId;
use crate::reader::{Cursor, JournalReader};
use crate::segment::Position;

/// Writes bytes on and hashes them.
struct Hashing<W> {
    out: W,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The body, compressed or not.
enum Body<W: Write> {
    Plain(Hashing<W>),
    Zstd(zstd::stream::write::Encoder<'static, Hashing<W>>),
}

impl<W: Write> Body<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.write_all(bytes),
            Self::Zstd(out) => out.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<Hashing<W>> {
        match self {
            Self::Plain(out) => Ok(out),
            Self::Zstd(out) => out.finish(),
        }
    }
}

/// Writes a capture, frame by frame.
struct CaptureWriter<W: Write> {
    body: Body<W>,
    position: Position,
    body_bytes: u64,
    path: PathBuf,
}

impl<W: Write> CaptureWriter<W> {
    fn begin(out: W, path: &Path, id: JournalId, before: Position, compress: bool) -> Result<Self, CaptureError> {
        let error = |source| IoError::new("write", path, source);
        let head = Head { flags: if compress { FLAG_ZSTD } else { 0 }, id, before };
        let mut out = Hashing { out, hasher: blake3::Hasher::new(), bytes: 0 };
        out.write_all(&head.bytes()).map_err(error)?;
        let body = if compress {
            let mut encoder = zstd::stream::write::Encoder::new(out, 3).map_err(error)?;
            encoder.window_log(WINDOW_LOG).map_err(error)?;
            Body::Zstd(encoder)
        } else {
            Body::Plain(out)
        };
        Ok(Self { body, position: before, body_bytes: 0, path: path.to_owned() })
    }

    fn frame(&mut self, bytes: &[u8], position: Position) -> Result<(), CaptureError> {
        self.body.write(bytes).map_err(|source| IoError::new("write", &self.path, source))?;
        self.position = position;
        self.body_bytes += bytes.len() as u64;
        Ok(())
    }

    fn finish(self, first: u64) -> Result<(W, Captured), CaptureError> {
        let error = |source| IoError::new("write", &self.path, source);
        let mut out = self.body.finish().map_err(error)?;
        let mut trailer = Vec::with_capacity(TRAILER_BYTES);
        trailer.extend_from_slice(&self.position.seq.to_le_bytes());
        trailer.extend_from_slice(&self.position.chain.0);
        trailer.extend_from_slice(&self.body_bytes.to_le_bytes());
        out.write_all(&trailer).map_err(error)?;
        let hash = out.hasher.finalize();
        out.write_all(hash.as_bytes()).map_err(error)?;
        out.flush().map_err(error)?;
        Ok((out.out, Captured { first, last: self.position.seq, bytes: out.bytes }))
    }
}

/// Captures the entries `from..=to` of a journal (clipped to what there is) into `out`; `name` is
/// for messages. The frames are copied as they stand, so that the capture has the journal's chain.
pub fn export_to(
    reader: &JournalReader,
    from: u64,
    to: u64,
    compress: bool,
    name: &Path,
    out: impl Write,
) -> Result<Captured, CaptureError> {
    let first = reader.first_seq();
    let last = reader.durable_last().map_or(0, |last| last.seq);
    let begin = from.max(first);
    if begin > to.min(last) {
        return Err(CaptureError::Range { from, to, first, last });
    }
    let read = |error| CaptureError::Read(Box::new(error));
    // What comes before the first entry is known from the entry before it, or from the first header.
    let before = reader.position_before(begin).map_err(read)?;
    let mut writer = CaptureWriter::begin(out, name, reader.id(), before, compress)?;
    let mut cursor = Cursor::new(&reader.shared, begin, None).map_err(read)?;
    while let Some((frame, _)) = cursor.next().map_err(read)? {
        if frame.head.seq > to {
            break;
        }
        let FrameHead { seq, at, epoch, .. } = frame.head;
        writer.frame(frame.bytes, Position { seq, at, epoch, chain: frame.chain })?;
    }
    Ok(writer.finish(begin)?.1)
}

/// As [`export_to`], into a file that has its name only when it is complete and durable.
pub fn export(
    reader: &JournalReader,
    from: u64,
    to: u64,
    compress: bool,
    path: &Path,
) -> Result<Captured, CaptureError> {
    into_file(path, |out| export_to(reader, from, to, compress, path, out))
}

/// Captures all entries of any source that begins at entry 1 (a journal in memory) into a file.
pub fn export_entries(source: &dyn Source, compress: bool, path: &Path) -> Result<Captured, CaptureError> {
    into_file(path, |out| {
        let id = source.id();
        let before = Position { seq: 0, at: i64::MIN, epoch: 0, chain: id.genesis() };
        let mut writer = CaptureWriter::begin(out, path, id, before, compress)?;
        let mut frame = Vec::new();
        for entry in source.read(1) {
            let entry = entry.map_err(|error| CaptureError::Read(Box::new(error)))?;
            let payload = codec::encode(&entry).map_err(|source| CaptureError::Encode { seq: entry.seq, source })?;
            let epoch =
                if let Event::DaemonStarted { epoch, .. } = entry.event { epoch } else { writer.position.epoch };
            let Entry { seq, at: Timestamp(at), event } = &entry;
            let head = FrameHead { seq: *seq, at: *at, epoch, kind: kind_number(event), schema: SCHEMA_VERSION };
            frame.clear();
            let chain = write_entry(&mut frame, head, &payload, &writer.position.chain);
            writer.frame(&frame, Position { seq: *seq, at: *at, epoch, chain })?;
        }
        Ok(writer.finish(1)?.1)
    })
}

fn into_file(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<Captured, CaptureError>,
) -> Result<Captured, CaptureError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let mut file = File::create(&partial).map_err(|source| IoError::new("create", &partial, source))?;
    let result = write(&mut file).and_then(|captured| {
        file.sync_all().map_err(|source| IoError::new("sync", &partial, source))?;
        std::fs::rename(&partial, path).map_err(|source| IoError::new("rename", &partial, source))?;
        Ok(captured)
    });
    if result.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    result
}
