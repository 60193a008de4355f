//! What a guest has in its memory from the start: answers of the contract, laid out as the canonical ABI asks for it.

/// Where it begins: nothing of the contract lies at zero.
const BASE: u32 = 1024;

/// Of blobs, as Arrow likes it.
const ALIGNMENT: usize = 64;

/// A piece of memory.
#[derive(Clone, Debug, Default)]
pub struct Image {
    bytes: Vec<u8>,
}

impl Image {
    /// Appends bytes: their address and their number, as a list or a string has them.
    pub fn blob(&mut self, bytes: impl AsRef<[u8]>) -> [u32; 2] {
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
        let address = self.end();
        self.bytes.extend_from_slice(bytes.as_ref());
        [address, length(bytes.as_ref())]
    }

    /// Appends words: a record whose fields are words, strings and lists. Its address.
    pub fn words(&mut self, words: &[u32]) -> u32 {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.blob(bytes)[0]
    }

    /// Appends a list of records of so many words each.
    pub fn list(&mut self, records: &[Vec<u32>]) -> [u32; 2] {
        [self.words(&records.concat()), u32::try_from(records.len()).expect("a list is short")]
    }

    /// The first address behind it.
    pub fn end(&self) -> u32 {
        BASE + length(&self.bytes)
    }

    /// A data segment of the text format.
    pub fn segment(&self) -> String {
        let escaped: String = self.bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
        format!("(data (i32.const {BASE}) \"{escaped}\")")
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("it fits into a memory")
}
