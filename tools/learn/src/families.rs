//! Generators of malicious names, by the alphabets and lengths of published algorithms.
//!
//! Each draws characters as the analysis of the family describes it; seeds and dates make no difference to the statistics of
//! characters. Families that the corpus is judged by are not among them. Analyses: Plohmann, Yakdan, Klatt, Bader,
//! Gerhards-Padilla, "A Comprehensive Measurement Study of Domain Generating Malware" (USENIX Security 2016), and the
//! descriptions of the families by those who took them apart.

/// Algorithm by which a family makes a label.
enum Style {
    /// Independent characters of an alphabet.
    Uniform(&'static str),
    /// Consonants and vowels in turn.
    Syllables,
    /// Words one after the other.
    Words(usize, &'static str),
    /// The first characters of a fixed long word replaced, or a word and a number.
    Mutated(&'static str),
}

/// A family: style and least and greatest length.
struct Family {
    style: Style,
    lengths: (usize, usize),
    /// Relative number of names.
    weight: usize,
}

const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz";
const TO_Y: &str = "abcdefghijklmnopqrstuvwxy";
const ALPHANUMERIC: &str = "abcdefghijklmnopqrstuvwxyz0123456789";

/// Drawn with equal weight: those of many algorithms stand several times.
const TOP_LEVELS: &[&str] = &[
    "com", "com", "com", "com", "com", "com", "net", "net", "net", "net", "net", "org", "org", "org", "org",
    "info", "info", "info", "biz", "biz", "biz", "ru", "ru", "ru", "cc", "cn", "ws", "in", "su", "me", "tk",
    "pw", "eu", "name", "co", "top", "xyz", "cm", "tv",
];

const fn uniform(alphabet: &'static str, shortest: usize, longest: usize, weight: usize) -> Family {
    Family { style: Style::Uniform(alphabet), lengths: (shortest, longest), weight }
}

const FAMILIES: &[Family] = &[
    uniform(LETTERS, 6, 6, 2),                                            // virut
    uniform(TO_Y, 5, 17, 6),                                              // locky
    uniform(LETTERS, 8, 25, 6),                                           // qakbot
    uniform(LETTERS, 8, 16, 4),                                           // murofet
    uniform(ALPHANUMERIC, 32, 47, 1),                                     // murofet, third version
    uniform(TO_Y, 14, 14, 3),                                             // ranbyus
    uniform(TO_Y, 16, 16, 3),                                             // emotet
    uniform(LETTERS, 8, 20, 4),                                           // dircrypt
    uniform(LETTERS, 6, 12, 5),                                           // proslikefan
    uniform(LETTERS, 7, 11, 5),                                           // shifu, kraken
    uniform(LETTERS, 5, 9, 3),                                            // short ones
    uniform("abcdefnolmk", 16, 24, 1),                                    // padcrypt
    uniform("0123456789abcdef", 16, 34, 2),                               // bamital, dyre
    uniform(ALPHANUMERIC, 20, 28, 2),                                     // gameover
    uniform(ALPHANUMERIC, 10, 18, 4),                                     // bedep
    uniform("abcdefghijklmnopqrstuvwxyz123456789", 15, 15, 2),            // shiotob
    uniform(ALPHANUMERIC, 7, 10, 2),                                      // short ones with digits
    uniform("acegikmoqsuwy", 16, 16, 1),                                  // ramdo
    uniform("qwertyuiop", 8, 8, 1),                                       // szribi
    Family { style: Style::Syllables, lengths: (6, 14), weight: 4 },      // simda, vawtrak
    Family { style: Style::Words(2, ""), lengths: (12, 24), weight: 3 },  // gozi, pizd
    Family { style: Style::Words(3, ""), lengths: (14, 32), weight: 3 },  // matsnu
    Family { style: Style::Words(2, "-"), lengths: (12, 26), weight: 2 }, // matsnu
    Family { style: Style::Mutated("vokestringmanthesolica"), lengths: (16, 24), weight: 1 },
];

/// Pseudo-random numbers, equal in every run: xorshift64* (Vigna, 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(drawn).unwrap_or(0) % end.max(1)
    }

    /// A top-level domain, as often as published algorithms use it, roughly.
    fn top(&mut self) -> String {
        let index = self.below(TOP_LEVELS.len());
        TOP_LEVELS.get(index).copied().unwrap_or("com").to_owned()
    }

    fn of(&mut self, alphabet: &str) -> char {
        let index = self.below(alphabet.len());
        alphabet.chars().nth(index).unwrap_or('a')
    }
}

/// `count` labels of all families together. `words` are what the families of words choose from.
pub(crate) fn labels(count: usize, words: &[String], random: &mut Random) -> Vec<(String, String)> {
    let weights: usize = FAMILIES.iter().map(|family| family.weight).sum();
    let each = |family: &'static Family| (family, count * family.weight / weights);
    let pairs = FAMILIES.iter().map(each);
    pairs
        .flat_map(|(family, number)| (0..number).map(move |_| family))
        .map(|family| (family.label(words, random), random.top()))
        .collect()
}

impl Family {
    fn label(&self, words: &[String], random: &mut Random) -> String {
        let (shortest, longest) = self.lengths;
        let len = shortest + random.below(longest - shortest + 1);
        match self.style {
            Style::Uniform(alphabet) => (0..len).map(|_| random.of(alphabet)).collect(),
            Style::Syllables => {
                let first = random.below(2);
                let letter = |index: usize| {
                    if (index + first).is_multiple_of(2) { "bcdfghjklmnpqrstvwxz" } else { "aeiouy" }
                };
                (0..len).map(|index| random.of(letter(index))).collect()
            }
            Style::Words(count, separator) => {
                let chosen: Vec<&str> = (0..count)
                    .filter_map(|_| words.get(random.below(words.len())))
                    .map(String::as_str)
                    .collect();
                chosen.join(separator)
            }
            Style::Mutated(word) => {
                let behind: String = word.chars().skip(4).collect();
                (0..4).map(|_| random.of(LETTERS)).chain(behind.chars()).collect()
            }
        }
    }
}
