// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/page/pagelook.h"
#include "lib/guest/digest.h"
#include "viz/draw/palette.h"

#include <inttypes.h>
#include <string.h>

static const char *const style[] = {
	"*{box-sizing:border-box}",
	":root{color-scheme:light dark;--ink:#1f2937;--dim:#57606a;--line:#d0d7de;"
	"--ground:#fff;--soft:#f3f4f6;--link:#0b57d0}",
	"body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);"
	"background:var(--ground);margin:0 auto;max-width:1240px;padding:1em}",
	"h1{font-size:1.5em;line-height:1.25;overflow-wrap:anywhere;margin:.3em 0}",
	"h2{font-size:1.2em;margin:1.8em 0 .5em;border-bottom:1px solid "
	"var(--line)}h3{font-size:1em;margin:1.3em 0 .3em}p{margin:.5em 0}",
	"a{color:var(--link)}nav a{margin-right:1em;display:inline-block}",
	"table{border-collapse:collapse;width:100%}",
	"td,th{text-align:left;padding:.25em .5em;vertical-align:top;"
	"border-bottom:1px solid var(--line);overflow-wrap:anywhere}",
	".d{overflow-wrap:normal}.n{text-align:right}td.n{white-space:nowrap}tr.bar td{padding-top:0}tr.has td,tr.has th"
	"{border-bottom:0}tr.has>:first-child{min-width:4em}",
	"dl{display:grid;grid-template-columns:minmax(7em,13em) 1fr;gap:.2em 1em;"
	"margin:.5em 0}dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}",
	"code{font:.93em ui-monospace,monospace;overflow-wrap:anywhere}",
	"pre{font:.87em/1.4 ui-monospace,monospace;white-space:pre-wrap;"
	"overflow-wrap:anywhere;background:var(--soft);padding:.6em;margin:.5em 0}",
	"details{margin:.4em 0}summary{cursor:pointer}",
	"ul{margin:.3em 0;padding:0 0 0 1.3em}li{margin:.15em 0}"
	"small{color:var(--dim);font-size:.9em;overflow-wrap:anywhere}",
	".here{outline:3px solid #d97706;outline-offset:2px}",
	":focus-visible{outline:3px solid var(--link);outline-offset:2px}",
	".map{position:relative;padding-left:5.2em;margin:.6em 0}",
	"svg{shape-rendering:crispEdges}.map svg{width:100%;height:auto;display:block;background:var(--soft)}",
	".scale span{position:absolute;left:0;width:5em;text-align:right;"
	"font-size:.78em;line-height:1;color:var(--dim);white-space:nowrap}",
	".map path.k{fill:none;stroke:var(--c);stroke-width:1}"
	".map path.h{stroke-width:.5}.map text{fill:var(--t)}",
	".cur,.cur2{fill:none;vector-effect:non-scaling-stroke;pointer-events:none;"
	"shape-rendering:auto}.cur{stroke:#fff;stroke-width:6}"
	".cur2{stroke:#000;stroke-width:3}.many .cur{stroke-width:3}"
	".many .cur2{stroke-width:1}",
	".read{min-height:3em;overflow-wrap:anywhere;background:var(--soft);"
	"padding:.4em .6em}",
	".legend{list-style:none;padding:0}.legend li{display:inline-block;"
	"margin:.15em 1.3em .15em 0}",
	".legend i{display:inline-block;width:1.3em;height:1.3em;"
	"margin-right:.4em;vertical-align:-.25em;border:1px solid var(--dim);"
	"font:bold .8em/1.45 sans-serif;text-align:center;background:var(--c);"
	"color:var(--t)}",
	".vols{position:relative;height:1.8em;background:var(--soft);margin:.6em 0 "
	".6em 5.2em}.vols span{position:absolute;top:0;bottom:0;overflow:hidden;"
	"background:#dbe7f6;color:#0b2545;border:1px solid #3b6fd4;font-size:.85em;"
	"padding:.1em .3em;white-space:nowrap}",
	".bar svg{width:100%;height:14px;display:block;"
	"background:var(--soft)}.bar path{fill:none;stroke:#2563eb;stroke-width:1}"
	"tr.snap path{stroke:#16a34a}",
	".clean{color:#1a7f37}.leaks,.warning,.leak{color:#8a5a00}.note{color:"
	"#1d4ed8}.corrupt,.unchecked,.error,.fatal,.unread,.absent{color:#b42318}"
	".in-use,.foreign{color:#57606a}",
	"@media(prefers-color-scheme:dark){:root{--ink:#d1d7e0;--dim:#9aa4b2;"
	"--line:#3d444d;--ground:#0d1117;--soft:#1b2129;--link:#79b8ff}"
	".clean{color:#3fb950}.leaks,.warning,.leak{color:#e3b341}.note{color:"
	"#79b8ff}.corrupt,.unchecked,.error,.fatal,.unread,.absent{color:#ff7b72}"
	".in-use,.foreign{color:#9aa4b2}.vols span{background:#1f3a5f;color:#e6edf3}}",
	"@media(max-width:600px){body{font-size:14px;padding:.6em}table{"
	"font-size:13px}td,th{padding:.25em .3em}tr.has td:nth-child(2){"
	"min-width:5em}dl{grid-template-columns:1fr}dd{margin:0 0 .4em .8em}"
	".map{padding-left:4.4em}.vols{margin-left:4.4em}.scale span{width:5.3em}}",
	"@page{size:A4;margin:14mm}",
	"@media print{body{font-size:10pt;max-width:none;padding:0}nav,.read"
	"{display:none}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}"
	"h2,h3{break-after:avoid}tr,li,.map{break-inside:avoid}a{color:inherit;"
	"text-decoration:none}details::details-content{content-visibility:visible}}",
};

/* Kinds that are calm on white and would glare on black. */
static const struct {
	enum qf_kind kind;
	uint32_t rgb;
} dark[] = {
	{ QF_KIND_FREE, 0x262c36 },	{ QF_KIND_UNKNOWN, 0x30363d },
	{ QF_KIND_UNMAPPED, 0x1b2027 }, { QF_KIND_ZERO, 0x343c47 },
	{ QF_KIND_HEADER, 0xe5e7eb },	{ QF_KIND_CRYPTO, 0x94a3b8 },
};

/*
 * Without it the page is whole. With it, the maps tell what is under the
 * pointer, and findings and cells lead to each other.
 */
static const char *const script[] = {
	"(function(){'use strict';",
	"var maps={},places=[],D=document,U=['B','KiB','MiB','GiB','TiB','PiB',"
	"'EiB'];",
	"function id(s){return D.getElementById(s)}",
	"function hex(n){return '0x'+n.toString(16)}",
	"function size(n){var i=0;while(n>=1024&&i<6){n/=1024;i++}"
	"return Math.round(n*10)/10+' '+U[i]}",
	"function spread(r){var a=[],i,k;for(i=0;r&&i<r.length;i+=2)"
	"for(k=0;k<r[i];k++)a.push(r[i+1]);return a}",
	"function svg(t,c,p){var e=D.createElementNS('http://www.w3.org/2000/svg',"
	"t);e.setAttribute('class',c);p.appendChild(e);return e}",
	"function reveal(e){for(var p=e;p;p=p.parentElement)"
	"if(p.tagName==='DETAILS')p.open=true;",
	"D.querySelectorAll('.here').forEach(function(o){"
	"o.classList.remove('here')});e.classList.add('here');",
	"e.tabIndex=-1;e.focus({preventScroll:true});"
	"e.scrollIntoView({block:'center'})}",
	"function link(e){var a=D.createElement('a');a.href='#'+e.id;"
	"a.textContent=e.dataset.t;a.onclick=function(v){v.preventDefault();"
	"reveal(e)};return a}",
	"function Plan(m){",
	"var d=JSON.parse(id(m+'-data').textContent),box=id(m+'-map'),"
	"pic=box.querySelector('svg'),out=id(m+'-read'),still=out.textContent,"
	"what=spread(d.runs),file=spread(d.files),back=[],host=[],at=-1,held=false;",
	"for(var h=0,k;d.hosts&&h<d.hosts.length;h+=2)"
	"for(k=0;k<d.hosts[h];k++)host.push(d.hosts[h+1]<0?-1:d.hosts[h+1]+k);",
	"if(d.place)d.place.forEach(function(p,i){back[p]=i});",
	"var c1=svg('path','cur',pic),c2=svg('path','cur2',pic);",
	"function box_of(a,b){var s='',i,p,x,y;for(i=a;i<=b;i++){"
	"p=d.place?d.place[i]:i;x=p%d.cols;y=(p-x)/d.cols;",
	"if(!d.place){var n=Math.min(b-i+1,d.cols-x);"
	"s+='M'+x+' '+y+'h'+n+'v1h-'+n+'z';i+=n-1}"
	"else s+='M'+x+' '+y+'h1v1h-1z'}return s}",
	"function draw(a,b){var s=a<0?'':box_of(a,b);c1.setAttribute('d',s);"
	"c2.setAttribute('d',s);pic.classList.toggle('many',b>a)}",
	"function say(i){var from=i*d.unit,to=Math.min(from+d.unit,d.end),v='',n=0,"
	"span=-1;out.textContent='';",
	"(d.vols||[]).forEach(function(o){if(from>=o[0]&&from<o[0]+o[1]&&"
	"(span<0||o[1]<=span)){v=o[2];span=o[1]}});",
	"out.append(d.name+' '+hex(from)+' to '+hex(to)+' ('+size(to-from)+'): '"
	"+(d.text[what[i]]||''));",
	"if(v)out.append('; '+v);if(file[i])out.append('; '+d.names[file[i]]);",
	"var o=maps[m==='guest'?'file':'guest'],c=m==='guest'?host[i]:"
	"o?o.host.indexOf(i):-1;",
	"if(o&&c>=0){var a=D.createElement('a');a.href='#';a.textContent="
	"(m==='guest'?'in the file at ':'on the disk at ')+hex(c*o.unit);"
	"a.onclick=function(v){v.preventDefault();o.go(c*o.unit,1)};"
	"out.append('; ',a)}",
	"places.forEach(function(p){if(p.m!==m||p.o>=to||p.o+p.n<=from)return;"
	"n++;if(n>8)return;out.append(n>1?', ':'. Findings: ',link(p.e))});",
	"if(n>8)out.append(' and '+(n-8)+' more')}",
	"function show(i){if(i<0||i>=what.length)return;at=i;draw(i,i);say(i)}",
	"function cell(e){var r=pic.getBoundingClientRect(),"
	"x=Math.floor((e.clientX-r.left)/r.width*d.cols),"
	"y=Math.floor((e.clientY-r.top)/r.height*d.rows),p=y*d.cols+x;",
	"return x<0||y<0||x>=d.cols||y>=d.rows?-1:d.place?back[p]:p}",
	"function hide(){at=-1;held=false;draw(-1);out.textContent=still}",
	"pic.addEventListener('pointermove',function(e){if(!held)show(cell(e))});",
	"pic.addEventListener('pointerleave',function(){if(!held)hide()});",
	"pic.addEventListener('click',function(e){var i=cell(e);"
	"if(held&&i===at){hide();return}held=true;show(i)});",
	"box.tabIndex=0;box.setAttribute('role','application');"
	"box.setAttribute('aria-label',d.label);",
	"box.addEventListener('keydown',function(e){var k={ArrowLeft:-1,"
	"ArrowRight:1,ArrowUp:-d.cols,ArrowDown:d.cols,PageUp:-8*d.cols,"
	"PageDown:8*d.cols}[e.key],to;",
	"if(e.key==='Escape'){hide();return}if(e.key==='Home')to=0;"
	"else if(e.key==='End')to=what.length-1;"
	"else if(e.key==='Enter'){var a=out.querySelector('a');if(a)a.click();"
	"return}else if(k)to=at<0?0:at+k;else return;",
	"e.preventDefault();held=true;show(Math.max(0,Math.min(what.length-1,to)))"
	"});",
	"return{host:host,unit:d.unit,go:function(o,n){var a=Math.floor(o/d.unit),"
	"b=Math.floor((o+Math.max(n,1)-1)/d.unit);if(!what.length)return;",
	"a=Math.min(a,what.length-1);b=Math.min(b,what.length-1);held=true;at=a;"
	"say(a);draw(a,b);box.focus({preventScroll:true});"
	"box.scrollIntoView({block:'center'})}}}",
	"D.querySelectorAll('a[data-m]').forEach(function(a){"
	"var s=a.dataset,e=a.closest('li,tr');",
	"if(e.id)places.push({m:s.m,o:+s.o,n:Math.max(+s.n,1),e:e});",
	"a.addEventListener('click',function(v){if(!maps[s.m])return;"
	"v.preventDefault();maps[s.m].go(+s.o,+s.n)})});",
	"['guest','file'].forEach(function(m){if(id(m+'-data'))maps[m]=Plan(m)});",
	"var shut=[];addEventListener('beforeprint',function(){"
	"D.querySelectorAll('details:not([open])').forEach(function(e){"
	"e.open=true;shut.push(e)})});",
	"addEventListener('afterprint',function(){shut.forEach(function(e){"
	"e.open=false});shut=[]});",
	"})();",
};

static void put_lines(struct qf_outbuf *o, const char *const *line, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		qf_outbuf_printf(o, "%s\n", line[i]);
}

#define PUT(o, lines) put_lines(o, lines, sizeof(lines) / sizeof(lines[0]))

static void put_kind(struct qf_outbuf *o, enum qf_kind k, uint32_t rgb)
{
	qf_outbuf_printf(o, ".k%d{--c:#%06" PRIx32 ";--t:#%06" PRIx32 "}",
			 (int)k, rgb, qf_palette_letter(rgb));
}

static void put_kinds(struct qf_outbuf *o)
{
	size_t i;
	int k;

	for (k = 0; k < QF_KINDS; k++)
		put_kind(o, (enum qf_kind)k,
			 qf_palette_kind((enum qf_kind)k)->rgb);
	qf_outbuf_printf(o, "\n@media(prefers-color-scheme:dark){");
	for (i = 0; i < sizeof(dark) / sizeof(dark[0]); i++)
		put_kind(o, dark[i].kind, dark[i].rgb);
	qf_outbuf_printf(o, "}\n");
}

/* The script's SHA-256 as the policy wants it: in base 64. */
static void put_script_hash(struct qf_outbuf *o)
{
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned char sum[33] = { 0 };
	struct qf_outbuf text = { 0 };
	uint32_t v;
	int i, k;

	PUT(&text, script);
	if (text.failed) {
		o->failed = true;
		return;
	}
	qf_digest_sha256(text.at, text.n, sum);
	qf_outbuf_free(&text);
	for (i = 0; i < 33; i += 3) {
		v = (uint32_t)sum[i] << 16 | (uint32_t)sum[i + 1] << 8 |
		    sum[i + 2];
		for (k = 0; k < 4; k++)
			qf_outbuf_add(o,
				      i == 30 && k == 3
					      ? "="
					      : &digit[v >> (18 - 6 * k) & 63],
				      1);
	}
}

void qf_pagelook_head(struct qf_outbuf *o, const char *title, bool with_script,
		      const char *meta)
{
	qf_outbuf_printf(o,
			 "<!DOCTYPE html>\n<html lang='en'><head>"
			 "<meta charset='utf-8'>\n"
			 "<meta http-equiv='Content-Security-Policy' content=\""
			 "default-src 'none'; style-src 'unsafe-inline'%s",
			 with_script ? "; script-src 'sha256-" : "");
	if (with_script)
		put_script_hash(o);
	qf_outbuf_printf(o,
			 "%s\">\n<meta name='viewport' "
			 "content='width=device-width,initial-scale=1'>\n"
			 "<meta name='generator' content='qfsck " QFSCK_VERSION
			 "'>\n%s<title>qfsck: ",
			 with_script ? "'" : "", meta ? meta : "");
	qf_outbuf_xml(o, title);
	qf_outbuf_printf(o, "</title>\n<style>\n");
	PUT(o, style);
	put_kinds(o);
	qf_outbuf_printf(o, "</style></head><body>\n");
}

void qf_pagelook_foot(struct qf_outbuf *o, bool with_script)
{
	if (with_script) {
		qf_outbuf_printf(o, "<script>");
		PUT(o, script);
		qf_outbuf_printf(o, "</script>\n");
	}
	qf_outbuf_printf(o, "</body></html>\n");
}
