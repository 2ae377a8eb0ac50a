"""Words that say nothing of what is searched for, Indonesian and English.

PostgreSQL's configuration ``indonesian`` comes without such a list, and one of its own would be
a file on the database server.
"""

STOP_WORDS = frozenset(
    {
        "a", "ada", "adalah", "adapun", "agar", "akan", "akibat", "aku", "an", "and", "anda",
        "antara", "antaranya", "apa", "apabila", "apakah", "are", "as", "at", "atas", "atau",
        "bagai", "bagaimana", "bagi", "bahwa", "bahwasanya", "begitu", "berbagai", "berikut",
        "beserta", "bisa", "bukan", "by", "dahulu", "dalam", "dan", "dapat", "dari",
        "daripada", "demi", "demikian", "dengan", "di", "dia", "dimana", "for", "from",
        "guna", "hal", "hanya", "harus", "hendak", "hingga", "ia", "ialah", "in", "ini",
        "inilah", "is", "itu", "itulah", "jika", "juga", "kala", "kalau", "kami", "kamu",
        "karena", "ke", "kecuali", "kemudian", "kepada", "ketika", "kita", "lagi", "lah",
        "lain", "lainnya", "lalu", "maka", "mana", "manakala", "mari", "masih", "maupun",
        "melainkan", "melalui", "mengenai", "menjadi", "menurut", "mereka", "merupakan",
        "meski", "meskipun", "namun", "of", "oleh", "on", "or", "pada", "padahal", "para",
        "pula", "pun", "saat", "saja", "sambil", "sampai", "sang", "saya", "se", "sebab",
        "sebagai", "sebagaimana", "sebelum", "sebuah", "sedang", "sedangkan", "segala",
        "sehingga", "sejak", "sejumlah", "selain", "selama", "seluruh", "sementara", "semua",
        "sendiri", "seorang", "seperti", "serta", "sesuai", "sesuatu", "sesudah", "setelah",
        "setiap", "si", "sini", "suatu", "sudah", "supaya", "tanpa", "tapi", "telah",
        "tentang", "tentu", "terhadap", "termasuk", "tersebut", "tetapi", "the", "tiap",
        "tidak", "to", "untuk", "walau", "walaupun", "with", "yaitu", "yakni", "yang",
    }
)  # fmt: skip
