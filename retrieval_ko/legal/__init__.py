"""Korean statutes and administrative rules, read into articles (조), paragraphs (항), items (호) and sub-items (목).

document.py     a file as fields and lines, whatever its format
structure.py    Law, Article, Paragraph, Item, Subitem, Annex
numbering.py    how Korean law counts: ①, 1의2., 가., 제3조의2
identity.py     id, name and date of a law, checked where they enter
cleaning.py     amendment marks, tables, "deleted"
drafting.py     an article while it is being read
markdown.py     legalize-kr Markdown
law_go_kr.py    law.go.kr JSON: statutes and administrative rules
inline.py       articles whose 항, 호 and 목 run on in one line
registry.py     which document is of which type; further types are added here
reading.py      a folder, law by law; what was wrong with which file
passages.py     articles as passages
collection.py   passages as a BEIR folder
"""
