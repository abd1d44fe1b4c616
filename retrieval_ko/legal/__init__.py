"""Korean statutes, administrative rules and precedents, read into articles (조), paragraphs (항), items (호) and sub-items (목).

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
precedents.py   cases, one by one; what was wrong with which file
issues.py       the numbered points of a case: issue, holding, statutes and cases cited
law_names.py    the words that name a law, and the words that stand for one named before
citations.py    what a text cites of statutes, as it is written
resolver.py     citations looked up: ids of articles, or reasons why not
cases.py        what a text cites of cases, looked up
passages.py     articles as passages
collection.py   passages as a BEIR folder
"""
