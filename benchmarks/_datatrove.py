"""What datatrove's filters call the reasons for which ours has rules, and the words that make their verdicts comparable."""

import re

REASONS = {
    "Gopher quality": {
        "gopher_short_doc": "gopher_min_words",
        "gopher_long_doc": "gopher_max_words",
        "gopher_below_avg_threshold": "gopher_min_mean_word_chars",
        "gopher_above_avg_threshold": "gopher_max_mean_word_chars",
        "gopher_too_many_hashes": "gopher_hash_ratio",
        "gopher_too_many_ellipsis": "gopher_ellipsis_ratio",
        "gopher_too_many_bullets": "gopher_bullet_lines",
        "gopher_too_many_end_ellipsis": "gopher_ellipsis_lines",
        "gopher_below_alpha_threshold": "gopher_alphabetic_words",
        "gopher_enough_stop_words": "gopher_stop_words",
    },
    "Gopher repetition": {
        "dup_para_frac": "repetition_paragraphs",
        "dup_para_char_frac": "repetition_paragraph_chars",
        "dup_line_frac": "repetition_lines",
        "dup_line_char_frac": "repetition_line_chars",
        **{f"top_{n}_gram": f"repetition_top_{n}gram" for n in (2, 3, 4)},
        **{f"duplicated_{n}_n_grams": f"repetition_duplicate_{n}gram" for n in (5, 6, 7, 8, 9, 10)},
    },
    "C4": {
        "lorem_ipsum": "c4_lorem_ipsum",
        "curly_bracket": "c4_curly_bracket",
        "too_few_sentences": "c4_min_sentences",
    },
    "FineWeb": {
        "line_punct_ratio": "fineweb_line_punctuation",
        "short_line_ratio": "fineweb_short_lines",
        "char_dup_ratio": "fineweb_duplicate_line_chars",
        "list_ratio": "fineweb_newlines_per_word",
    },
}
SENTENCE = re.compile(r"[.!?。！？]+[\"”»')\]]*(?:\s|$)")  # the end of one, as our C4 rule counts them
