import com.pixelmed.validate.DicomSRValidator;
import java.lang.reflect.Field;
import javax.xml.transform.Source;
import javax.xml.transform.Transformer;
import javax.xml.transform.URIResolver;

/** What PixelMed says of each file: one start of Java, which costs more than a report does. */
class ValidateReports {
    public static void main(String[] paths) throws Exception {
        DicomSRValidator validator = new DicomSRValidator();
        nameItsDocuments(validator);
        for (String path : paths) {
            System.out.println("File: " + path);
            System.out.println(validator.validate(path));
        }
    }

    /**
     * PixelMed hands its style sheet the context groups without their name, so that Java does not
     * know them again and parses 660 kB of XML for every code of a report.
     */
    private static void nameItsDocuments(DicomSRValidator validator) throws Exception {
        Field field = DicomSRValidator.class.getDeclaredField("transformerPass1");
        field.setAccessible(true);
        Transformer transformer = (Transformer) field.get(validator);
        URIResolver theirs = transformer.getURIResolver();
        transformer.setURIResolver((name, base) -> {
            Source document = theirs.resolve(name, base);
            document.setSystemId(name);
            return document;
        });
    }
}
