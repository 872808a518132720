//! What a shell that traces its commands (`set -x`) makes of a secret.

/// How quotes inside single quotes are written: by bash, and by dash and Python's `shlex.quote`.
const QUOTES: [&str; 2] = [r"'\''", r#"'"'"'"#];

pub(super) fn forms(text: &[u8]) -> Vec<Vec<u8>> {
    QUOTES
        .iter()
        .map(|quote| text.split(|&byte| byte == b'\'').collect::<Vec<_>>().join(quote.as_bytes()))
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::Masker;

    #[test]
    fn a_value_with_quotes_is_masked_in_a_traced_command() {
        let masker = Masker::builder().secret("S", "it's '").build().masker;
        assert_eq!(masker.mask_str(r"+ login 'it'\''s '\'''"), "+ login '********'");
        assert_eq!(masker.mask_str(r#"+ login 'it'"'"'s '"'"''"#), "+ login '********'");
    }
}
