//! Enums whose values have words, in files, texts and requests alike.

/// An enum whose values have words.
pub trait Named: Copy + PartialEq + 'static {
    /// All values, in their order.
    const ALL: &'static [Self];

    /// Its word.
    fn word(self) -> &'static str;

    /// The value with that word.
    #[must_use]
    fn from_word(word: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|value| value.word() == word)
    }
}

/// The words of all values, in their order.
#[must_use]
pub fn words<T: Named>() -> Vec<&'static str> {
    T::ALL.iter().map(|value| value.word()).collect()
}

/// Declares an enum and the words of its values.
macro_rules! named {
    ($(#[$about:meta])* $visible:vis enum $name:ident {
        $($(#[$of_value:meta])* $value:ident = $word:literal,)*
    }) => {
        $(#[$about])*
        $visible enum $name {
            $($(#[$of_value])* $value,)*
        }

        impl $name {
            /// Its word in files, texts and requests.
            #[must_use]
            $visible const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $word,)*
                }
            }
        }

        impl $crate::named::Named for $name {
            const ALL: &'static [Self] = &[$(Self::$value),*];

            fn word(self) -> &'static str {
                self.as_str()
            }
        }
    };
}
pub(crate) use named;
